"""Pods without Kubernetes: a sidecar and a shop beside it, as processes of this machine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from e2e.app.stores import RunningStore
from e2e.ports import free_port

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.01

# Cookies that are sent over plain HTTP: there is no TLS on the loopback interface.
COOKIE: Final = {"secure": False}


class Pod(Struct, frozen=True):
    """A running pair, and where the two listen."""

    name: str
    sidecar: Process
    shop: Process
    sidecar_url: str
    shop_url: str

    async def kill(self) -> None:
        """What a node does that loses its power: nothing of it takes a connection any more."""
        for process in (self.sidecar, self.shop):
            process.kill()
        for process in (self.sidecar, self.shop):
            # Until the kernel has closed what listens, a connection is taken and broken.
            await process.wait()


@asynccontextmanager
async def running_pod(name: str, store: RunningStore, folder: Path) -> AsyncIterator[Pod]:
    """A pod that is ready; its logs are in `folder`.

    Raises:
        RuntimeError: one of the two does not start, with the end of its log.
    """
    configuration = folder / "cluster.json"
    spec = {"backend": store.backend, "cookie": COOKIE}
    configuration.write_text(json.dumps({"cluster": {"name": "shop"}, "spec": spec}))
    # Nobody else gets them once the pod is killed: else its clients would talk to a stranger.
    sidecar_listen, shop_listen = (f"127.0.0.1:{free_port()}" for _ in range(2))
    anywhere = "127.0.0.1:0"
    async with AsyncExitStack() as stack:
        sidecar, sidecar_address = await stack.enter_async_context(
            _running(
                folder / f"{name}-sidecar.log",
                *("-m", "moorline_sidecar", "serve", "--config", str(configuration)),
                *("--listen", sidecar_listen, "--health", anywhere, "--ops", anywhere),
                MOORLINE_WORKER=name,
                MOORLINE_BACKEND_URI=store.uri,
                MOORLINE_SHUTDOWN_SECONDS=str(STOP_SECONDS),
            )
        )
        sidecar_url = f"http://{sidecar_address}"
        shop, shop_address = await stack.enter_async_context(
            _running(
                folder / f"{name}-shop.log",
                *("-m", "e2e.app.shop"),
                MOORLINE_URL=sidecar_url,
                SHOP_LISTEN=shop_listen,
                HOSTNAME=name,
            )
        )
        yield Pod(name, sidecar, shop, sidecar_url, f"http://{shop_address}")


@asynccontextmanager
async def _running(
    log: Path, *arguments: str, **variables: str
) -> AsyncIterator[tuple[Process, str]]:
    """A Python program and the address that it says it listens on."""
    environment = {name: text for name, text in os.environ.items() if not _is_ours(name)}
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            env={**environment, **variables},
            stdout=stderr,
            stderr=stderr,
            # Ctrl-C is for the demo alone, which then ends the others in order.
            start_new_session=True,
        )
    try:
        yield process, await _announced(process, log)
    finally:
        await _end(process)


async def _announced(process: Process, log: Path) -> str:
    """The address in the line that a program writes when it is ready."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                if (address := _address(log)) is not None:
                    return address
                await asyncio.sleep(POLL_SECONDS)
    raise RuntimeError(f"{log.stem} does not start:\n{_end_of(log)}")


def _address(log: Path) -> str | None:
    for line in log.read_text().splitlines(keepends=True):
        if line.startswith("{") and line.endswith("}\n"):
            entry: Mapping[str, str] = json.loads(line)
            if entry.get("message") == "ready":
                return entry["data"]
    return None


def _end_of(log: Path) -> str:
    return log.read_text()[-2_000:]


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS + 1):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _is_ours(name: str) -> bool:
    """What is set for this shell is not meant for the demo."""
    return name.startswith(("MOORLINE_", "SHOP_"))
