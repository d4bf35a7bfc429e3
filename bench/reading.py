"""Every session read once, as an adapter reads: the cache is warm then, and the answers known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

import aiohttp
from msgspec import Struct

from bench.errors import BenchError
from bench.population import Member

CONNECTIONS: Final = 16
OK: Final = 200
UNAVAILABLE: Final = 503
TRIES: Final = 30
PAUSE_SECONDS: Final = 1.0


class Known(Struct, frozen=True):
    """What a client knows after an answer: `body` is the whole session."""

    id: str
    hint: str
    body: bytes


def read_all(url: str, population: Iterable[Member]) -> Sequence[Known]:
    """Read each session.

    Raises:
        BenchError: an answer is anything but 200, or the store stays away for half a minute.
    """
    return asyncio.run(_read_all(url, [member.id for member in population]))


async def _read_all(url: str, ids: Sequence[str]) -> Sequence[Known]:
    waiting = iter(ids)
    known: list[Known] = []
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(url, connector=connector) as http:

        async def read() -> None:
            known.extend([await _read(http, session_id) for session_id in waiting])

        async with asyncio.TaskGroup() as readers:
            for _ in range(CONNECTIONS):
                readers.create_task(read())
    return known


async def _read(http: aiohttp.ClientSession, session_id: str) -> Known:
    """The session; a store that many others keep from answering is given time."""
    tries = TRIES
    while True:
        async with http.get(f"/v1/sessions/{session_id}") as answer:
            body = await answer.read()
            if answer.status == OK:
                return Known(session_id, answer.headers["Moorline-Hint"], body)
            tries -= 1
            if answer.status != UNAVAILABLE or not tries:
                raise BenchError(f"a read was answered {answer.status}: {body[:300]!r}")
        await asyncio.sleep(PAUSE_SECONDS)
