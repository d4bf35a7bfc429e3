"""A whole sidecar inside the test's own process, on free ports, over the memory store."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from moorline_sidecar.config import ConfigurationSource, Options
from moorline_sidecar.serving import Listening, serve

MEMORY: dict[str, Any] = {"backend": {"type": "Memory"}}
FREE = "127.0.0.1:0"


def configured(
    folder: Path,
    spec: Mapping[str, object] = MEMORY,
    environ: Mapping[str, str] | None = None,
    limits: Mapping[str, object] | None = None,
) -> ConfigurationSource:
    """The configuration of a sidecar with this spec."""
    file = folder / "cluster.json"
    document = {"cluster": {"name": "shop"}, "spec": spec, "limits": limits}
    file.write_bytes(msgspec.json.encode(document))
    told = {"MOORLINE_WORKER": "node3", **(environ or {})}
    options = Options(config=str(file), listen=FREE, health=FREE, ops=FREE)
    return ConfigurationSource(options=options, environ=told, hostname="test")


def silent(_level: str, _always: Mapping[str, str]) -> None:
    """Logs stay as the test has them."""


@asynccontextmanager
async def running(source: ConfigurationSource) -> AsyncIterator[Listening]:
    """Serving while the context is entered; everything must have been saved at its end."""
    stop = asyncio.Event()
    listening: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve(source, stop, listening.set_result, silent))
        try:
            async with asyncio.timeout(30):
                yield await listening
        finally:
            stop.set()
    assert await serving
