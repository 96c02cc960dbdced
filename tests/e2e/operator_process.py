"""The operator's process as a fault sees it: killed without a word, kept away, started again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.cluster import installation
from tests.e2e.pods import run_on_node
from tests.e2e.scene import Object, Scene

from perennial.adapters.cluster import POD

_KILL = """
    import os, pathlib, signal
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if {container!r} in (process / "cgroup").read_text():
                os.kill(int(process.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended meanwhile
"""


async def kill(scene: Scene) -> None:
    """SIGKILL to the operator's process; returns when another one is ready."""
    pod = await _kill(scene)
    # In place of a container that Kubernetes restarts ever more slowly: a new Pod.
    await scene.api.delete(POD, installation.NAMESPACE, pod["metadata"]["name"])
    await _until_gone(scene, pod)
    await asyncio.to_thread(scene.cluster.wait_rolled_out, installation.NAMESPACE, installation.DEPLOYMENT)


@asynccontextmanager
async def killed(scene: Scene) -> AsyncIterator[None]:
    """SIGKILL to the operator's process, and no other one for as long as the block runs."""
    pod = await _kill(scene)
    await _scale(scene, 0)
    await _until_gone(scene, pod)
    try:
        yield
    finally:
        await _scale(scene, 1)
        await asyncio.to_thread(scene.cluster.wait_rolled_out, installation.NAMESPACE, installation.DEPLOYMENT)


async def _kill(scene: Scene) -> Object:
    pod = await _pod(scene)
    (container,) = pod["status"]["containerStatuses"]
    identity = container["containerID"].rpartition("/")[2]
    await run_on_node(scene, installation.NAMESPACE, pod["spec"]["nodeName"], _KILL.format(container=identity))

    async def look() -> bool:
        found = await scene.api.get(POD, installation.NAMESPACE, pod["metadata"]["name"])
        (now,) = found["status"]["containerStatuses"] if found else ({},)
        ended = [now.get(state, {}).get("terminated", {}).get("exitCode") for state in ("state", "lastState")]
        return 137 in ended  # 128 + SIGKILL

    await scene.until("the operator's process was killed", look)
    return pod


async def _pod(scene: Scene) -> Object:
    labels = {"app.kubernetes.io/name": installation.DEPLOYMENT}
    (pod,) = await scene.api.list(POD, installation.NAMESPACE, labels)
    return pod


async def _until_gone(scene: Scene, pod: Object) -> None:
    async def look() -> bool:
        return await scene.api.get(POD, installation.NAMESPACE, pod["metadata"]["name"]) is None

    await scene.until("the killed operator's Pod is gone", look)


async def _scale(scene: Scene, replicas: int) -> None:
    arguments = (
        "-n",
        installation.NAMESPACE,
        "scale",
        f"deployment/{installation.DEPLOYMENT}",
        f"--replicas={replicas}",
    )
    await asyncio.to_thread(scene.cluster.kubectl, *arguments)
