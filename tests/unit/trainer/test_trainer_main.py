"""`perennial-train` from outside: what is trained, compared and written."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.unit.trainer.workbench import FEATURES, Bench, Now, champion, market, report_of, run

from perennial_contract.artifacts import ArtifactError, digest_bytes, verify_artifact
from perennial_contract.profile import ReferenceProfile
from perennial_contract.report import Manifest, TrainingReport
from perennial_contract.task import TrainingTask
from perennial_trainer.errors import TaskWrong
from perennial_trainer.existing import check_brought
from perennial_trainer.training import run_task


@pytest.mark.parametrize("algorithm", ["xgboost", "lightgbm"])
def test_a_version_is_trained_and_every_digest_holds(loaded: Bench, algorithm: str) -> None:
    code, summary = run(loaded, loaded.task(algorithm={"name": algorithm, "parameters": {"max_depth": 2}}))
    assert code == 0
    assert summary.artifact is not None
    assert summary.artifact.uri == f"file://{loaded.artifacts}/trading/btc-m-uid/v1"
    manifest = verify_artifact(loaded.artifacts / "trading/btc-m-uid/v1", summary.artifact.digest)
    [row] = loaded.sql("SELECT * FROM model_reports")
    assert (row.version, row.model, row.digest) == ("v-uid-1", "trading/btc", summary.artifact.digest)
    assert digest_bytes(row.manifest.encode()) == row.digest
    digests = {file.name: file.digest for file in Manifest.model_validate_json(row.manifest).files}
    assert digests["report.json"] == digest_bytes(row.report.encode())
    assert digests["profile.json"] == digest_bytes(row.profile.encode())
    report = TrainingReport.model_validate_json(row.report)
    assert report.version == "v-uid-1"
    assert [feature.name for feature in report.features] == list(FEATURES)
    assert report.evaluation.challenger.win_rate is not None
    assert report.evaluation.challenger.win_rate > 0.6
    assert report.dataset.holdout_rows == 250
    assert report.dataset.training_rows + report.dataset.purged_rows + report.dataset.holdout_rows == 1_000
    assert ReferenceProfile.model_validate_json(row.profile).rows == report.dataset.training_rows
    assert manifest.libraries.keys() == {"python", "numpy", algorithm}


@pytest.mark.parametrize("algorithm", ["xgboost", "lightgbm"])
def test_the_same_task_gives_the_same_model_and_figures(tmp_path: Path, algorithm: str, now: Now) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name).fill(market(700))
        ref = run_task(bench.task(algorithm={"name": algorithm}), bench.url, now)
        directory = bench.artifacts / "trading/btc-m-uid/v1"
        manifest = verify_artifact(directory, ref.digest)
        report = json.loads((directory / "report.json").read_text())
        seconds = [report.pop(key) for key in list(report) if key.startswith("seconds")]
        assert len(seconds) == 3
        found.append((report, [file for file in manifest.files if file.name != "report.json"], manifest.fingerprint))
    assert found[0] == found[1]


def test_a_champion_is_scored_on_the_same_rows(bench: Bench, now: Now) -> None:
    bench.fill(market(2_000))
    weak = {"name": "xgboost", "parameters": {"num_boost_round": 1, "max_depth": 1, "learning_rate": 1e-4}}
    first = run_task(bench.task(algorithm=weak, samples={"label_delay": "5h", "features": ["noise"]}), bench.url, now)
    code, _ = run(bench, bench.task(2, champion=champion(first)))
    report = report_of(bench, "v-uid-2")
    assert code == 0
    assert report.evaluation.champion is not None
    assert report.evaluation.champion.acted == report.evaluation.challenger.acted == 500
    assert report.evaluation.champion == report_of(bench).evaluation.challenger
    assert report.evaluation.lift is not None
    assert report.evaluation.lift > 0.1
    assert report.evaluation.lower_bound is not None
    assert report.evaluation.lower_bound > 0


def test_a_champion_of_another_library_is_scored_too(loaded: Bench, now: Now) -> None:
    first = run_task(loaded.task(algorithm={"name": "lightgbm"}), loaded.url, now)
    run(loaded, loaded.task(2, champion=champion(first)))
    assert report_of(loaded, "v-uid-2").evaluation.champion == report_of(loaded).evaluation.challenger


def test_a_champion_trained_on_newer_rows_moves_the_holdout(loaded: Bench, now: Now) -> None:
    first = run_task(loaded.task(holdout={"share": 0.2, "min_rows": 100}), loaded.url, now)
    code, _ = run(loaded, loaded.task(2, champion=champion(first), holdout={"share": 0.5, "min_rows": 100}))
    assert code == 0
    assert report_of(loaded, "v-uid-2").dataset.holdout_from == report_of(loaded).dataset.holdout_from
    code, summary = run(loaded, loaded.task(3, champion=champion(first), holdout={"share": 0.5, "min_rows": 300}))
    assert code == 3
    assert summary.error is not None
    assert "200 resolved rows since" in summary.error


def test_an_earlier_attempt_that_lacked_its_row_alone_is_completed(loaded: Bench, now: Now) -> None:
    ref = run_task(loaded.task(), loaded.url, now)
    [before] = loaded.sql("SELECT * FROM model_reports")
    loaded.sql("DELETE FROM model_reports")
    loaded.sql("UPDATE samples SET noise = noise + 1")  # training again would give another artifact
    code, summary = run(loaded, loaded.task())
    [after] = loaded.sql("SELECT * FROM model_reports")
    assert (code, summary.artifact) == (0, ref)
    assert (after.digest, after.manifest, after.report, after.profile) == (
        before.digest,
        before.manifest,
        before.report,
        before.profile,
    )


def test_a_path_that_holds_another_version_is_left_alone(loaded: Bench, now: Now) -> None:
    ref = run_task(loaded.task(), loaded.url, now)
    other = loaded.task().model_dump()
    other["version"]["uid"] = "another"
    code, summary = run(loaded, TrainingTask.model_validate(other))
    assert code == 2
    assert summary.error is not None
    assert "holds another version; artifacts are never overwritten" in summary.error
    verify_artifact(loaded.artifacts / "trading/btc-m-uid/v1", ref.digest)


def test_a_second_row_of_a_version_replaces_the_first(loaded: Bench, now: Now) -> None:
    run_task(loaded.task(), loaded.url, now)
    assert run(loaded, loaded.task())[0] == 0
    assert len(loaded.sql("SELECT * FROM model_reports")) == 1


def test_a_brought_model_is_scored_and_nothing_is_trained(loaded: Bench, now: Now, tmp_path: Path) -> None:
    ref = run_task(loaded.task(), loaded.url, now)
    code, summary = run(loaded, loaded.task(2, brought=ref.model_dump(), champion=champion(ref)))
    assert (code, summary.artifact) == (0, ref)
    assert not (loaded.artifacts / "trading/btc-m-uid/v2").exists()
    first, second = loaded.sql("SELECT * FROM model_reports ORDER BY version")
    assert (second.digest, second.manifest, second.profile) == (first.digest, first.manifest, first.profile)
    report = report_of(loaded, "v-uid-2")
    assert report.version == "v-uid-2"
    assert report.evaluation.lift == 0
    assert report.dataset.holdout_from == report_of(loaded).dataset.holdout_from


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithm": {"name": "lightgbm"}}, "a model of xgboost, but algorithm.name is lightgbm"),
        (
            {"samples": {"label_delay": "5h", "features": ["ret_1", "extra"]}},
            "its features differ from samples.features: extra missing, noise unknown, vol_24 unknown",
        ),
    ],
)
def test_a_brought_model_must_fit_the_contract(loaded: Bench, now: Now, changes: dict[str, Any], message: str) -> None:
    loaded.sql("ALTER TABLE samples ADD COLUMN extra FLOAT")
    ref = run_task(
        loaded.task(
            samples={"label_delay": "5h", "features": list(FEATURES)},
        ),
        *(loaded.url, now),
    )
    code, summary = run(loaded, loaded.task(2, brought=ref.model_dump(), **changes))
    assert code == 2
    assert summary.error is not None
    assert message in summary.error


def test_a_brought_model_that_does_not_say_what_it_learned_from_proves_nothing_on_the_holdout(
    bench: Bench, now: Now, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.fill(market(2_000))
    weak = {"name": "xgboost", "parameters": {"num_boost_round": 1, "max_depth": 1, "learning_rate": 1e-4}}
    first = run_task(bench.task(algorithm=weak, samples={"label_delay": "5h", "features": ["noise"]}), bench.url, now)
    good = run_task(bench.task(2), bench.url, now)
    assert run(bench, bench.task(3, brought=good.model_dump(), champion=champion(first)))[0] == 0
    with_report = report_of(bench, "v-uid-3").evaluation
    assert with_report.lower_bound is not None
    assert with_report.lower_bound > 0
    assert run(bench, bench.task(4, brought=without_report(bench), champion=champion(first)))[0] == 0
    alone = report_of(bench, "v-uid-4").evaluation
    assert alone == with_report.model_copy(
        update={"lower_bound": None, "challenger": with_report.challenger.model_copy(update={"version": "btc-v4"})}
    )
    assert "brought model: its artifact has no report.json" in capsys.readouterr().out


def without_report(bench: Bench) -> dict[str, str]:
    """The same artifact as somebody else's tools would leave it."""
    theirs = bench.folder / "theirs"
    shutil.copytree(bench.artifacts / "trading/btc-m-uid/v2", theirs)
    (theirs / "report.json").unlink()
    manifest = json.loads((theirs / "manifest.json").read_text())
    manifest["files"] = [file for file in manifest["files"] if file["name"] != "report.json"]
    text = json.dumps(manifest)
    (theirs / "manifest.json").write_text(text)
    return {"uri": f"file://{theirs}", "digest": digest_bytes(text.encode())}


def test_a_brought_models_types_must_be_the_columns(loaded: Bench, now: Now) -> None:
    run_task(loaded.task(), loaded.url, now)
    [row] = loaded.sql("SELECT manifest FROM model_reports")
    manifest = Manifest.model_validate_json(row.manifest)
    check_brought(loaded.task(), manifest, manifest.features)
    whole = manifest.features[1].model_copy(update={"dtype": "int64"})
    with pytest.raises(TaskWrong, match=r"feature vol_24 is float64 in its manifest, int64 in the table"):
        check_brought(loaded.task(), manifest, (manifest.features[0], whole, manifest.features[2]))


@pytest.mark.parametrize("file", ["model.ubj", "profile.json", "report.json", "manifest.json"])
@pytest.mark.parametrize("role", ["champion", "brought"])
def test_an_artifact_changed_by_one_byte_is_refused_by_name(loaded: Bench, now: Now, file: str, role: str) -> None:
    ref = run_task(loaded.task(), loaded.url, now)
    path = loaded.artifacts / "trading/btc-m-uid/v1" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    given = champion(ref) if role == "champion" else ref.model_dump()
    code, summary = run(loaded, loaded.task(2, **{role: given}))
    assert code == 2
    assert summary.error is not None
    assert f"/v1: {file}: digest is" in summary.error
    assert not loaded.sql("SELECT * FROM model_reports WHERE version = 'v-uid-2'")
    with pytest.raises(ArtifactError, match=file):
        verify_artifact(path.parent, ref.digest)
