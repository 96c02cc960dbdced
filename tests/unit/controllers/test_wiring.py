"""How the operator starts, and what it forgets."""

import dataclasses
import logging
from datetime import UTC, datetime

import pytest
from tests.unit.controllers.objects_in_memory import ObjectsInMemory, build_context

from perennial import main
from perennial.adapters.cluster import MODEL_DEPLOYMENT, ClusterError
from perennial.controllers import wiring
from perennial.controllers.context import Kept, Refusal
from perennial.controllers.wiring import NotInstalledError, Operator, check_installed
from perennial.domain.guard import decide_watch
from perennial.settings import Settings

ALL = {"modeldeployments", "modelversions", "retrainpolicies"}


class Discovered:
    """An API server with some of our resources."""

    def __init__(self, *plurals: str) -> None:
        self.plurals, self.closed = set(plurals), False

    async def connect(self, _: object) -> "Discovered":
        return self

    async def discover(self, api_version: str) -> set[str]:
        assert api_version == "perennial.dev/v1alpha1"
        return self.plurals

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("missing", [ALL, {"modelversions"}], ids=["all", "one"])
async def test_without_its_crds_the_operator_does_not_start(missing: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = Discovered(*(ALL - missing))
    monkeypatch.setattr(wiring, "Cluster", found)
    with pytest.raises(NotInstalledError, match=rf"^no {', '.join(sorted(missing))} in perennial.dev/v1alpha1: apply"):
        await check_installed()
    assert found.closed


async def test_with_them_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wiring, "Cluster", Discovered(*ALL, "modelversions/status"))
    await check_installed()


@pytest.mark.parametrize("error", [NotInstalledError("no crds"), ClusterError(0, "no answer")], ids=["crds", "answer"])
def test_what_is_missing_is_told_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fail() -> None:
        raise error

    monkeypatch.setattr(main, "check_installed", fail)
    monkeypatch.setattr(main.os, "environ", {})
    level = logging.getLogger("kopf").level
    with pytest.raises(SystemExit) as ended:
        main.main()
    logging.getLogger("kopf").setLevel(level)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"perennial: {error}\n"


def test_what_is_gone_is_forgotten() -> None:
    operator, cluster = Operator(Settings()), ObjectsInMemory()
    context = operator._context = build_context(cluster)
    body = cluster.put(MODEL_DEPLOYMENT, "m", spec={})
    uid, now = body["metadata"]["uid"], datetime(2026, 1, 5, tzinfo=UTC)
    context.monitored[uid] = now
    context.canary_looks[uid] = Kept((), now, None)
    context.watched[uid] = decide_watch(None, ("u", None, 1.0), {}, {}, now)
    context.counted[uid] = Kept((), now, None)
    context.refused[uid] = Refusal("ObjectRefused", "no")
    operator.notice(MODEL_DEPLOYMENT, {"type": "MODIFIED", "object": body})
    assert context.monitored
    operator.notice(MODEL_DEPLOYMENT, {"type": "DELETED", "object": body})
    kept = {field.name: getattr(context, field.name) for field in dataclasses.fields(context)}
    assert [name for name, found in kept.items() if isinstance(found, dict) and uid in found] == []
