"""Small programs run inside the cluster: on a volume of the scenario's, or among the processes of a node."""

import secrets
import textwrap

from tests.e2e.scene import Object, Scene

from perennial.adapters.cluster import POD


async def run_in_volume(scene: Scene, claim: str, program: str) -> None:
    """Runs Python in a Pod that mounts a volume at /artifacts, as trainers and servers do."""
    await _run(
        scene,
        scene.namespace,
        program,
        {"volumeMounts": [{"name": "volume", "mountPath": "/artifacts"}]},
        {
            "securityContext": {"runAsUser": 65532, "runAsGroup": 65532},
            "volumes": [{"name": "volume", "persistentVolumeClaim": {"claimName": claim}}],
        },
    )


async def run_on_node(scene: Scene, namespace: str, node: str, program: str) -> None:
    """Runs Python in a Pod that sees, and may kill, every process of a node."""
    await _run(
        scene,
        namespace,
        program,
        {"securityContext": {"runAsUser": 0, "capabilities": {"add": ["KILL", "SYS_PTRACE"]}}},
        {"hostPID": True, "nodeName": node},
    )


async def _run(scene: Scene, namespace: str, program: str, container: Object, spec: Object) -> None:
    name = f"program-{secrets.token_hex(3)}"
    main = {"name": "main", "image": scene.python_image, "command": ["python", "-c", textwrap.dedent(program)]}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": [{**main, **container}], **spec},
    }
    assert await scene.api.create(POD, namespace, body)

    async def look() -> str | None:
        found = await scene.api.get(POD, namespace, name)
        phase = found.get("status", {}).get("phase") if found else None
        return str(phase) if phase in ("Succeeded", "Failed") else None

    assert await scene.until(f"Pod {name} is done", look) == "Succeeded"
    await scene.api.delete(POD, namespace, name)
