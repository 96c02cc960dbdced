"""What trainers leave of each version, as files beside the recording."""

from datetime import UTC, datetime
from pathlib import Path

from perennial.domain.evidence import ReportRow
from perennial_contract.recording import REPORTS_FOLDER, ReportDocument

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ReportFolder:
    """The rows of ``model_reports``, a file each."""

    def __init__(self, recording: Path) -> None:
        self._folder = recording / REPORTS_FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, uid: str) -> ReportRow | None:
        """A version's row; None until its trainer has written one."""
        path = self._folder / f"{uid}.json"
        if not path.exists():
            return None
        found = ReportDocument.model_validate_json(path.read_bytes())
        texts = {name: getattr(found, name) for name in ("version", "model", "digest", "manifest", "report", "profile")}
        return ReportRow(**texts, created_at=_EPOCH)
