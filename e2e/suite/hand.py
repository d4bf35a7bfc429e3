"""A hand on the node: signals for the processes of pods, on any cluster that allows `hostPID`."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from e2e.suite.stage import SHOP_IMAGE, Stage

NAMESPACE: Final = "moorline-e2e"
_SCRIPT: Final = Path(__file__).with_name("hand_in_pod.py")


async def kill_container(stage: Stage, pod: dict[str, Any], container: str) -> None:
    """End a container as the kernel does when memory is short: nobody is asked."""
    statuses = [
        status
        for kind in ("initContainerStatuses", "containerStatuses")
        for status in pod["status"].get(kind, ())
    ]
    (found,) = (status["containerID"] for status in statuses if status["name"] == container)
    async with _hand(stage, pod, "kill", found.rpartition("/")[2]) as name:
        await _until(stage, name, "Succeeded")


@asynccontextmanager
async def frozen(stage: Stage, pod: dict[str, Any], seconds: float) -> AsyncIterator[None]:
    """The pod and its node's kubelet stand still; on leaving, until both go on."""
    async with _hand(stage, pod, "freeze", pod["metadata"]["uid"], str(seconds)) as name:
        await _until(stage, name, "Running")
        yield
        await _until(stage, name, "Succeeded")


@asynccontextmanager
async def _hand(stage: Stage, pod: dict[str, Any], *arguments: str) -> AsyncIterator[str]:
    await stage.kubectl("apply", "--filename=-", stdin=_A_NAMESPACE)
    name = f"hand-{secrets.token_hex(4)}"
    await stage.commands.apply(
        NAMESPACE, _pod(name, stage.target.image(SHOP_IMAGE), pod["spec"]["nodeName"], arguments)
    )
    try:
        yield name
    finally:
        stage.story.say((await stage.kubectl("--namespace", NAMESPACE, "logs", name)).strip())
        await stage.kubectl("--namespace", NAMESPACE, "delete", "pod", name, "--wait=false")


async def _until(stage: Stage, name: str, phase: str) -> None:
    await stage.kubectl(
        *("--namespace", NAMESPACE, "wait", f"pod/{name}", "--timeout=120s"),
        f"--for=jsonpath={{.status.phase}}={phase}",
    )


_A_NAMESPACE: Final = f"""
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels: {{pod-security.kubernetes.io/enforce: privileged}}
"""


def _pod(name: str, image: str, node: str, arguments: tuple[str, ...]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeName": node,
            "hostPID": True,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "hand",
                    "image": image,
                    "command": ["/opt/app/bin/python3", "-c", _SCRIPT.read_text(), *arguments],
                    "securityContext": {
                        "runAsUser": 0,
                        "capabilities": {"drop": ["ALL"], "add": ["KILL", "SYS_PTRACE"]},
                    },
                }
            ],
        },
    }
