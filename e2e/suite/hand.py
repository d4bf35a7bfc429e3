"""A hand on the node: signals for the processes of pods, on any cluster that allows `hostPID`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from moorline_operator.kube.api import KubeObject

from e2e.suite.hand_in_pod import NOTICE_SECONDS
from e2e.suite.namespace import SHOP_IMAGE, Namespace
from e2e.suite.pods import PYTHON, status_of
from tests.operator.watching import eventually

NAMESPACE: Final = "moorline-e2e"
BACK_SECONDS: Final = 180.0
"""The kubelet lets a container wait that ends a second and a third time, for 10 and 20 s."""

_SCRIPT: Final = Path(__file__).with_name("hand_in_pod.py")
_PRIVILEGED: Final = "pod-security.kubernetes.io/enforce=privileged"
_GRASP_SECONDS: Final = 2 * NOTICE_SECONDS
"""The hand waits for half of it, and then nobody can tell: who would is the frozen kubelet."""


async def kill_container(namespace: Namespace, pod: KubeObject, container: str) -> None:
    """End a container as the kernel does when memory is short, and wait until it is back.

    Raises:
        AssertionError: it does not come back, or its pod is not there any more.
    """
    name = pod["metadata"]["name"]
    before = status_of(pod, container)
    async with _hand(namespace, pod, "kill", before["containerID"].rpartition("/")[2]) as hand:
        await hand.until("Succeeded")

    async def is_back() -> bool:
        pods = {found["metadata"]["name"]: found for found in await namespace.pods()}
        assert name in pods, f"{name} is gone"
        now = status_of(pods[name], container)
        return now["restartCount"] > before["restartCount"] and bool(now["ready"])

    await eventually(is_back, lambda: f"{container} of {name} does not come back", BACK_SECONDS)


@asynccontextmanager
async def frozen(namespace: Namespace, pod: KubeObject, seconds: float) -> AsyncIterator[None]:
    """The pod and its node's kubelet stand still; on leaving, wait until both go on.

    `seconds` is how long, of which `NOTICE_SECONDS` may have gone by on entering.

    Raises:
        AssertionError: a process of the pod has not come through it.
    """
    async with _hand(namespace, pod, "freeze", pod["metadata"]["uid"], str(seconds)) as hand:
        await hand.until("Running")
        await asyncio.sleep(_GRASP_SECONDS)
        yield
        await hand.until("Succeeded")


class _Hand:
    """One of its pods, `name` in `NAMESPACE`."""

    def __init__(self, namespace: Namespace, name: str) -> None:
        self._namespace = namespace
        self._name = name

    async def until(self, phase: str) -> None:
        await self._namespace.kubectl(
            *("wait", f"pod/{self._name}", f"--for=jsonpath={{.status.phase}}={phase}"),
            "--timeout=150s",
        )

    async def open(self, pod: KubeObject, arguments: tuple[str, ...]) -> None:
        await self._namespace.restrict(_PRIVILEGED)
        image = self._namespace.access.target.image(SHOP_IMAGE)
        await self._namespace.apply(_pod(self._name, image, pod["spec"]["nodeName"], arguments))

    async def close(self) -> None:
        try:
            told = await self._namespace.kubectl("logs", self._name)
            self._namespace.story.say(told.strip())
        finally:
            how = ("--ignore-not-found", "--wait=false")
            await self._namespace.kubectl("delete", "pod", self._name, *how)


@asynccontextmanager
async def _hand(namespace: Namespace, pod: KubeObject, *arguments: str) -> AsyncIterator[_Hand]:
    hand = _Hand(Namespace(namespace.access, NAMESPACE), f"hand-{secrets.token_hex(4)}")
    await hand.open(pod, arguments)
    try:
        yield hand
    finally:
        await hand.close()


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
                    "command": [PYTHON, "-c", _SCRIPT.read_text(), *arguments],
                    "securityContext": {
                        "runAsUser": 0,
                        "capabilities": {"drop": ["ALL"], "add": ["KILL", "SYS_PTRACE"]},
                    },
                }
            ],
        },
    }
