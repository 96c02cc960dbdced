"""What is given in tests/data/given becomes what stands in tests/data/expected, to the letter.

The digests in there are promises: if one changes, an upgrade of the operator rolls every serving pod.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from perennial.api.shared import Resources
from perennial.controllers.objects import Model, Version, parse_model, parse_version
from perennial.resources import names
from perennial.resources.pods import cpu_threads
from perennial.resources.serving import Served, build_config_map, build_deployment, build_services, identity_of
from perennial.resources.training import Attempt, build_job, build_task_config_map
from perennial_contract.samples import Track

Object = dict[str, Any]
DATA = Path(__file__).parents[2] / "data"


def _given(case: str) -> tuple[Model, Version]:
    model, version = yaml.safe_load_all((DATA / "given" / f"{case}.yaml").read_text(encoding="utf-8"))
    return parse_model(model), parse_version(version)


def _served(case: str, track: Track, image: str = "server:default") -> Served:
    model, version = _given(case)
    assert model.spec is not None
    assert version.status.resolved is not None
    assert version.status.artifact is not None
    return Served(
        model=model.body,
        spec=model.spec,
        version=version.name,
        uid=version.uid,
        resolved=version.status.resolved,
        artifact=version.status.artifact,
        track=track,
        default_image=image,
    )


def _serving(case: str, track: Track, replicas: int) -> list[Object]:
    served = _served(case, track)
    services = build_services(served.model, served.spec, "btc-v3", served.version if track == "shadow" else None)
    return [build_config_map(served), build_deployment(served, replicas), *services]


def _training(case: str) -> list[Object]:
    model, version = _given(case)
    assert model.spec is not None
    assert version.status.resolved is not None
    assert version.status.job is not None
    attempt = Attempt(
        version=version.body,
        model=model.name,
        model_uid=model.uid,
        resolved=version.status.resolved,
        job=version.status.job.name,
        write_url_from=model.spec.samples.write_url_from,
        default_image="trainer:default",
    )
    return [build_task_config_map(attempt), build_job(attempt)]


BUILT = {
    "serving-live": lambda: _serving("serving-live", "live", 2),
    "serving-shadow": lambda: _serving("serving-shadow", "shadow", 1),
    "training-first": lambda: _training("training-first"),
    "training-challenger": lambda: _training("training-challenger"),
}


@pytest.mark.parametrize("case", BUILT)
def test_given_becomes_expected(case: str) -> None:
    expected = list(yaml.safe_load_all((DATA / "expected" / f"{case}.yaml").read_text(encoding="utf-8")))
    assert BUILT[case]() == expected


def test_every_case_is_tried() -> None:
    assert {path.stem for path in (DATA / "given").iterdir()} == set(BUILT)
    assert {path.stem for path in (DATA / "expected").iterdir()} == set(BUILT)


def test_another_default_image_rolls_nothing_and_another_declared_one_does() -> None:
    upgraded = _served("serving-live", "live", image="server:next")
    assert identity_of(upgraded) == identity_of(_served("serving-live", "live"))
    spec = upgraded.spec.model_copy(update={"server": upgraded.spec.server.model_copy(update={"image": "mine:2"})})
    assert identity_of(Served(**{**_fields(upgraded), "spec": spec})) != identity_of(upgraded)


def test_more_replicas_roll_nothing() -> None:
    served = _served("serving-live", "live")
    more = served.spec.model_copy(update={"server": served.spec.server.model_copy(update={"replicas": 9})})
    assert identity_of(Served(**{**_fields(served), "spec": more})) == identity_of(served)


def _fields(served: Served) -> dict[str, Any]:
    return {name: getattr(served, name) for name in Served.__dataclass_fields__}


@pytest.mark.parametrize(
    ("limit", "threads"),
    [(None, 1), ("2", 2), (3, 3), ("1500m", 1), ("500m", 1), ("3500m", 3), ("2.5", 2), ("16", 16)],
)
def test_threads_that_a_cpu_limit_carries(limit: object, threads: int) -> None:
    resources = Resources.model_validate({"limits": {"cpu": limit}}) if limit else None
    assert cpu_threads(resources) == threads


@pytest.mark.parametrize(
    ("model", "name", "revision"),
    [
        ("m", "m-v7", 7),
        ("m", "m-v12", 12),
        ("m", "m-x7k2p", None),
        ("m", "other-v7", None),
        ("m", "m-v0", None),
        ("m", "m-v7-v8", None),
        ("m-v7", "m-v7-v8", 8),
    ],
)
def test_a_revision_is_read_from_a_name(model: str, name: str, revision: int | None) -> None:
    assert names.revision_of(model, name) == revision
