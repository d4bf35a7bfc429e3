"""Servers that take connections and are of no use."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from moorline_sidecar.stores.diagnosis import Diagnosis

SECONDS = 20

Check: TypeAlias = Callable[[str], Awaitable[Diagnosis]]


async def check_deaf(check: Check, uri: str) -> None:
    """One that hangs up, or says nothing, is out of reach, in time; `uri` has `{}` for its port."""
    for hangs_up in (True, False):
        await _check(check, uri, hangs_up=hangs_up)


async def _check(check: Check, uri: str, *, hangs_up: bool) -> None:
    ends: list[asyncio.Event] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(has_ended := asyncio.Event())
        try:
            with suppress(OSError):
                await reader.read(0 if hangs_up else -1)
        finally:
            writer.close()
            has_ended.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(SECONDS):
            diagnosis = await check(uri.format(port))
            for each in ends:
                await each.wait()
    assert diagnosis.reason == "Unreachable", diagnosis.detail
