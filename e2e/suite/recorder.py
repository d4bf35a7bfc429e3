"""Keeps the logs of every pod of a cluster while it runs: those of deleted pods are gone otherwise.

    python -m e2e.suite.recorder KUBECONFIG FOLDER

Ends at SIGTERM. `FOLDER/<namespace>/<pod>/<container>-<restarts>.log`
is the log of a container, and `FOLDER/pods.log` tells what became of pods.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from moorline_operator.errors import KubeError
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import PODS

from e2e.suite.client import connected
from e2e.suite.pods import container_statuses

RETRY_SECONDS: Final = 0.5
PASSED_OVER: Final = frozenset({"kube-system", "local-path-storage"})
"""Namespaces of kind itself."""


class Recorder:
    """Follows the log of each container that starts, once."""

    def __init__(self, client: ApiClient, folder: Path) -> None:
        self._kube = Kube(client)
        self._client = client
        self._folder = folder
        self._followed: set[str] = set()
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        """Record until cancelled, whatever happens to the API server meanwhile."""
        async with asyncio.TaskGroup() as following:
            while True:
                with suppress(KubeError):
                    async for pod in self._pods():
                        self._see(pod, following)
                await asyncio.sleep(RETRY_SECONDS)

    async def _pods(self) -> AsyncIterator[KubeObject]:
        since = ""
        async for page in self._kube.pages(PODS):
            since = page["metadata"]["resourceVersion"]
            for pod in page["items"]:
                yield pod
        async for event in self._kube.watch(PODS, since=since):
            if event["type"] != "BOOKMARK":
                yield event["object"]

    def _see(self, pod: KubeObject, following: asyncio.TaskGroup) -> None:
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        if namespace in PASSED_OVER:
            return
        self._tell(pod)
        for container in container_statuses(pod):
            began = container.get("containerID", "")
            if began and began not in self._followed:
                self._followed.add(began)
                file = f"{container['name']}-{container['restartCount']}.log"
                path = self._folder / namespace / name / file
                following.create_task(self._follow(namespace, name, container["name"], path))

    def _tell(self, pod: KubeObject) -> None:
        metadata = pod["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}"
        worker = metadata.get("labels", {}).get("moorline.io/worker", "-")
        containers = [
            f"{one['name']}={'ready' if one['ready'] else 'unready'}/{one['restartCount']}"
            for one in container_statuses(pod)
        ]
        phase = pod.get("status", {}).get("phase", "?")
        if "deletionTimestamp" in metadata:
            phase = "Terminating"
        line = f"{name} {metadata['uid']} {worker} {phase} {' '.join(containers)}"
        if self._told.get(name) != line:
            self._told[name] = line
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "pods.log").open("a") as log:
                log.write(f"{time.strftime('%H:%M:%S')} {line}\n")

    async def _follow(self, namespace: str, pod: str, container: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            suppress(aiohttp.ClientError, OSError, TimeoutError),
            path.open("ab", buffering=0) as log,
        ):
            answer = await self._client.rest_client.request(  # type: ignore[no-untyped-call]
                "GET",
                f"{self._client.configuration.host}/api/v1/namespaces/{namespace}/pods/{pod}/log"
                f"?follow=true&timestamps=true&container={container}",
                headers=await self._headers(),
                _request_timeout=aiohttp.ClientTimeout(total=None),
            )
            async for chunk in answer.response.content.iter_any():
                log.write(chunk)

    async def _headers(self) -> dict[str, str]:
        token = await self._client.configuration.get_api_key_with_prefix("BearerToken")
        return {"Authorization": token} if token else {}


async def record(kubeconfig: Path, folder: Path) -> None:
    """Record until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with connected(kubeconfig) as client:
        recording = asyncio.create_task(Recorder(client, folder).run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({recording, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        recording.cancel()
        with suppress(asyncio.CancelledError):
            await recording


if __name__ == "__main__":
    asyncio.run(record(Path(sys.argv[1]), Path(sys.argv[2])))
