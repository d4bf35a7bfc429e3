"""What a store in memory tells of its changes: a bounded log that streams read from."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

from moorline_sidecar.errors import HistoryLost
from moorline_sidecar.stores.base import Heard, Seen, Stream

KEPT: Final = 4_096
"""Events that are kept for a stream that comes back."""

BATCH: Final = 200
EMPTY_SECONDS: Final = 0.5


class ChangeLog:
    """The latest events; a token is the number of events that came before."""

    def __init__(self) -> None:
        self._kept: deque[Seen] = deque(maxlen=KEPT)
        self._count = 0
        self._news = asyncio.Event()

    def add(self, seen: Seen) -> None:
        self._kept.append(seen)
        self._count += 1
        self._news.set()

    @asynccontextmanager
    async def watch(self, after: object = None) -> AsyncIterator[Stream]:
        yield _LogStream(self, after if isinstance(after, int) else self._count)

    def since(self, place: int) -> list[Seen]:
        """Up to a batch of events from that place on.

        Raises:
            HistoryLost: they are not kept any more.
        """
        first = self._count - len(self._kept)
        if place < first:
            raise HistoryLost("the log does not go back so far")
        return list(islice(self._kept, place - first, place - first + BATCH))

    async def wait(self, seconds: float) -> None:
        """Until something is added, or the time is over."""
        if self._news.is_set():
            self._news = asyncio.Event()
        news = self._news
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            pass


class _LogStream(Stream):
    def __init__(self, log: ChangeLog, place: int) -> None:
        self._log = log
        self._place = place
        # A token that lies too far back is refused at once.
        log.since(place)

    async def receive(self, asked_at: int) -> Heard:
        seen = self._log.since(self._place)
        if not seen:
            await self._log.wait(EMPTY_SECONDS)
            seen = self._log.since(self._place)
        self._place += len(seen)
        is_complete = len(seen) < BATCH
        return Heard(seen=seen, token=self._place, complete_until=asked_at if is_complete else None)
