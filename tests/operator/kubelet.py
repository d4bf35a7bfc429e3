"""Runs the pods of tasks as a kubelet would, with the real command as a process."""

import asyncio
import base64
import contextlib
import itertools
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from moorline_operator import naming
from moorline_operator.errors import NotFound
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import CONFIG_MAPS, PODS, SECRETS

from tests.operator.watching import LOOK_SECONDS, everything

RESULT: Final = "/dev/termination-log"
MESSAGE_BYTES: Final = 4_096


@contextlib.asynccontextmanager
async def running_tasks(kube: Kube, namespace: str, folder: Path) -> AsyncIterator[list[str]]:
    """Run each task pod of the namespace once; the names of the tasks that were run."""
    ran: list[str] = []
    running = asyncio.create_task(_run_all(kube, namespace, folder, ran))
    try:
        yield ran
        assert not running.done(), running.exception()
    finally:
        running.cancel()
        await asyncio.wait({running})


async def _run_all(kube: Kube, namespace: str, folder: Path, ran: list[str]) -> None:
    seen: set[str] = set()
    for number in itertools.count():
        for pod in await everything(kube, PODS, namespace, naming.TASK):
            if pod["metadata"]["uid"] not in seen:
                seen.add(pod["metadata"]["uid"])
                ran.append(pod["metadata"]["labels"][naming.TASK])
                await _run(kube, pod, folder / f"{namespace}-{number}-{pod['metadata']['name']}")
        await asyncio.sleep(LOOK_SECONDS)


async def _run(kube: Kube, pod: KubeObject, folder: Path) -> None:
    container = pod["spec"]["containers"][0]
    folder.mkdir()  # noqa: ASYNC240 - a moment, in a test
    paths = {RESULT: str(folder / "result")}
    for mount in container["volumeMounts"]:
        volume = next(v for v in pod["spec"]["volumes"] if v["name"] == mount["name"])
        place = folder / mount["name"]
        await _fill(kube, pod["metadata"]["namespace"], volume, place)
        paths[mount["mountPath"]] = str(place)
    arguments = [paths.get(argument, argument) for argument in container["args"]]
    if (config := Path(paths["/etc/moorline"]) / naming.CONFIG_FILE).exists():
        arguments += ["--config", str(config)]
    given = {entry["name"]: entry["value"] for entry in container.get("env", ())}
    environment = {name: paths.get(value, value) for name, value in given.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moorline_sidecar", *arguments),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    code = await process.wait()
    result = folder / "result"
    message = result.read_text(encoding="utf-8")[:MESSAGE_BYTES] if result.exists() else ""
    shutil.rmtree(folder)
    with contextlib.suppress(NotFound):
        await kube.apply(PODS, _ended(pod, code, message), subresource="status")


async def _fill(kube: Kube, namespace: str, volume: KubeObject, place: Path) -> None:
    """A folder as the kubelet mounts it; empty where what it is made of is missing."""
    place.mkdir()  # noqa: ASYNC240 - as above
    with contextlib.suppress(NotFound):
        if "configMap" in volume:
            found = await kube.get(CONFIG_MAPS, namespace, volume["configMap"]["name"])
            files = {name: text.encode() for name, text in found["data"].items()}
        else:
            found = await kube.get(SECRETS, namespace, volume["secret"]["secretName"])
            files = {name: base64.b64decode(text) for name, text in found["data"].items()}
        for name, content in files.items():
            (place / name).write_bytes(content)


def _ended(pod: KubeObject, code: int, message: str) -> dict[str, Any]:
    container = pod["spec"]["containers"][0]
    terminated = {
        "exitCode": code,
        "reason": "Error" if code else "Completed",
        "message": message,
        "startedAt": "2026-11-22T08:00:00Z",
        "finishedAt": "2026-11-22T08:00:01Z",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {name: pod["metadata"][name] for name in ("namespace", "name", "uid")},
        "status": {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": False,
                    "restartCount": 0,
                    "state": {"terminated": terminated},
                }
            ],
        },
    }
