"""What an interrupted replay needs to go on as if nothing had been: objects, predictions and the journal."""

import dataclasses
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from perennial.adapters.cluster import KEPT
from perennial.adapters.recording import to_micros
from perennial.replay.journal import Entry, Stay
from perennial.replay.predictions import Predictions, Scored
from perennial.replay.report import FeatureDrift
from perennial.replay.simulation import Simulation

STATE_FILE = "state.json"
_KINDS = {kind.kind: kind for kind in KEPT}


def save(simulation: Simulation, folder: Path) -> None:
    """Writes the state, whole or not at all; the one before stays until then."""
    journal = simulation.journal
    state = {
        "now": simulation.clock.now().isoformat(),
        "number": simulation.cluster.number,
        "arrays": f"predictions-{simulation.cluster.number}-{to_micros(simulation.clock.now())}.npz",
        "training_cpu_seconds": simulation.node.cpu_seconds,
        "scoring_cpu_seconds": simulation.traffic.cpu_seconds,
        "objects": [[kind.kind, body] for kind, body in simulation.cluster.all()],
        "entries": [dataclasses.asdict(entry) for entry in journal.entries],
        "versions": journal.versions,
        "stable": {model: [dataclasses.asdict(s) for s in stays] for model, stays in journal.stable.items()},
        "canaries": {model: [dataclasses.asdict(s) for s in stays] for model, stays in journal.canaries.items()},
        "drift": {model: [look.to_dict() for look in looks] for model, looks in journal.drift.items()},
        "judged": journal.judged,
        "models": {model: _described(found) for model, found in simulation.models.items()},
    }
    arrays: dict[str, Any] = {}
    for number, found in enumerate(simulation.models.values()):
        arrays |= {f"{number}/score": found.live_score, f"{number}/version": found.live_version}
        for place, scored in enumerate(found.versions.values()):
            arrays |= {f"{number}/{place}/scores": scored.scores, f"{number}/{place}/track": scored.track}
    final = folder / "checkpoint"
    final.mkdir(exist_ok=True)
    np.savez(final / str(state["arrays"]), **arrays)
    partial = final / f"{STATE_FILE}.partial"
    partial.write_text(json.dumps(state, default=_written))
    partial.replace(final / STATE_FILE)  # from here on it is this one: the state names its arrays
    for left in final.glob("*.npz"):
        if left.name != state["arrays"]:
            left.unlink()


def exists(folder: Path) -> bool:
    """Whether there is a run to go on with."""
    return (folder / "checkpoint" / STATE_FILE).is_file()


def restore(simulation: Simulation, folder: Path) -> None:
    """Puts a simulation that has not begun where an interrupted one was."""
    state = json.loads((folder / "checkpoint" / STATE_FILE).read_text())
    arrays = np.load(folder / "checkpoint" / state["arrays"], allow_pickle=False)
    for number, (model, described) in enumerate(state["models"].items()):
        found = simulation.models[model]
        found.live_score, found.live_version = arrays[f"{number}/score"], arrays[f"{number}/version"]
        found.answered = described["answered"]
        found.versions = {
            uid: Scored(first, arrays[f"{number}/{place}/scores"], arrays[f"{number}/{place}/track"], until)
            for place, (uid, first, until) in enumerate(described["versions"])
        }
    simulation.node.cpu_seconds |= state["training_cpu_seconds"]
    simulation.traffic.cpu_seconds |= state["scoring_cpu_seconds"]
    journal = simulation.journal
    journal.entries = [Entry(**{**entry, "at": datetime.fromisoformat(entry["at"])}) for entry in state["entries"]]
    journal.restore_versions(state["versions"])
    journal.stable = {model: [_stay(s) for s in stays] for model, stays in state["stable"].items()}
    journal.canaries = {model: [_stay(s) for s in stays] for model, stays in state["canaries"].items()}
    journal.drift = {m: [FeatureDrift.model_validate(look) for look in looks] for m, looks in state["drift"].items()}
    journal.judged = state["judged"]
    objects = [(_KINDS[kind], body) for kind, body in state["objects"]]
    simulation.cluster.restore(state["number"], objects)
    simulation.resume(datetime.fromisoformat(state["now"]))


def _described(found: Predictions) -> dict[str, Any]:
    versions = [(uid, scored.first, scored.asked_until) for uid, scored in found.versions.items()]
    return {"answered": found.answered, "versions": versions}


def _stay(stated: dict[str, Any]) -> Stay:
    times = {name: datetime.fromisoformat(stated[name]) for name in ("since", "until") if stated[name]}
    return Stay(**{**stated, **times})


def _written(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
