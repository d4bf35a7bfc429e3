"""Following the ring `<map>.changes`, by asking it for what is new.

A ring numbers its items without gaps, and keeps the last of them. Each question begins at the item
that was read last: if that is not there, or is another one, items are missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from moorline_sidecar.errors import HistoryLost, StoreUnavailable
from moorline_sidecar.stores import hazelcast_announcements as announcements
from moorline_sidecar.stores.base import Heard, Seen, Stream
from moorline_sidecar.stores.hazelcast_announcements import Announcement, Opens, announcement_of
from moorline_sidecar.stores.hazelcast_announcing import ring_of
from moorline_sidecar.stores.hazelcast_running import Attempt, Runner

POLL_SECONDS: Final = 0.1
"""Between two questions: each costs the sidecar and the ring's owner about as much as a load."""

EMPTY_SECONDS: Final = 0.5

ITEMS_MAX: Final = 200
"""In one reply."""

SETTLE_SECONDS: Final = 0.3
SETTLE_PAUSE_SECONDS: Final = 0.02
"""For what is under way when a stream begins to come to its end: ends follow within 10 ms."""

ASK_MAX: Final = 200
"""Texts that are looked at with one reply."""

OPEN_MAX: Final = 16_384
"""Changes without an end, which are a few MB; there are as many where many writers died."""


class Place(Struct, frozen=True, kw_only=True):
    """Where a stream is: `item` has the number `sequence`, -1 in a ring that had none.

    `asked_at` is when the last reply with all that there was had been asked for, by the clock of
    whoever asks.
    """

    members: frozenset[UUID | None]
    sequence: int
    item: object
    opens: Opens
    asked_at: int | None = None


class _Look(Struct, frozen=True):
    members: frozenset[UUID | None]
    items: Sequence[object]
    first: int
    has_more: bool


class Changes:
    """The ring of a store."""

    def __init__(self, runner: Runner, ring_name: str) -> None:
        self._runner = runner
        self._ring_name = ring_name

    @asynccontextmanager
    async def watch(self, after: object) -> AsyncIterator[Stream]:
        """As `SessionStore.watch`."""
        if isinstance(after, Place):
            # Whether it goes on from there, the first question shows.
            await self.next(after)
            place = after
        else:
            place = await self._begin()
        yield _RingStream(self, place)

    async def next(self, place: Place) -> tuple[Place, list[Announcement], bool]:
        """What came after that place, where that leads to, and whether that was all.

        Raises:
            HistoryLost: some of it is not known.
        """
        look = await self._look(max(0, place.sequence))
        if not place.members <= look.members:
            # What only that member had, a change or an announcement, is gone.
            raise HistoryLost("a member of the cluster has gone")
        items = list(look.items)
        if place.sequence >= 0:
            if not items or look.first != place.sequence or items[0] != place.item:
                raise HistoryLost("the ring was overrun, or it is another one")
            del items[0]
        elif items and look.first != 0:
            raise HistoryLost("the ring was overrun")
        after = replace(
            place,
            members=look.members,
            sequence=place.sequence + len(items),
            item=items[-1] if items else place.item,
        )
        return after, [announcement_of(item) for item in items], not look.has_more

    async def texts(self, keys: list[str]) -> dict[str, str]:
        return await self._runner.run(lambda attempt: attempt.texts(keys))

    async def _begin(self) -> Place:
        """The end of the ring, with what has begun before it and may still be under way."""
        loop = asyncio.get_running_loop()
        look = await self._look(0)
        place = Place(
            members=look.members,
            sequence=look.first + len(look.items) - 1,
            item=look.items[-1] if look.items else None,
            opens={},
        )
        news, is_all = [announcement_of(item) for item in look.items], not look.has_more
        opens: Opens = {}
        pending: frozenset[int] | None = None
        until = 0.0
        while True:
            # Whatever ends here was applied before anybody can confirm a copy by this stream.
            opens, _ = announcements.follow(opens, news, None, loop.time())
            if is_all and pending is None:
                pending, until = frozenset(opens), loop.time() + SETTLE_SECONDS
            is_over = pending is not None and (pending.isdisjoint(opens) or loop.time() > until)
            if is_all and is_over:
                return replace(place, opens=opens)
            await asyncio.sleep(SETTLE_PAUSE_SECONDS if is_all else 0)
            place, news, is_all = await self.next(place)

    async def _look(self, start: int) -> _Look:
        async def read(attempt: Attempt) -> _Look:
            # Before the question: an answer of a ring that outlived a member is no proof.
            members = attempt.members()
            ring = await ring_of(attempt.client, self._ring_name)
            limit = min(ITEMS_MAX, await ring.capacity())
            found = await ring.read_many(start, 0, limit)
            items = [found[index] for index in range(found.size)]
            first = found.get_sequence(0) if items else 0
            return _Look(members, items, first, len(items) == limit)

        return await self._runner.run(read)


class _RingStream(Stream):
    def __init__(self, changes: Changes, place: Place) -> None:
        self._changes = changes
        self._place = place
        self._look_at = 0.0

    async def receive(self, asked_at: int) -> Heard:
        loop = asyncio.get_running_loop()
        until = loop.time() + EMPTY_SECONDS
        while True:
            await asyncio.sleep(max(0.0, self._look_at - loop.time()))
            heard, is_all = await self._look(asked_at)
            self._look_at = loop.time() + (POLL_SECONDS if is_all else 0.0)
            if heard.seen or not is_all or self._look_at > until:
                return heard

    async def _look(self, asked_at: int) -> tuple[Heard, bool]:
        before = self._place
        place, news, is_all = await self._changes.next(before)
        now = asyncio.get_running_loop().time()
        followed, seen = announcements.follow(before.opens, news, before.asked_at, now)
        if len(followed) > OPEN_MAX:
            raise HistoryLost("too many changes have no end")
        opens, late = await self._look_after(followed, now)
        self._place = replace(place, opens=opens, asked_at=asked_at if is_all else before.asked_at)
        complete = announcements.complete(opens, asked_at) if is_all else None
        return Heard(seen=[*seen, *late], token=self._place, complete_until=complete), is_all

    async def _look_after(self, opens: Opens, now: float) -> tuple[Opens, list[Seen]]:
        """Tell of what has no end, and find out what of it is over all the same."""
        if not announcements.overdue(opens, now):
            return opens, []
        asked = announcements.to_ask(opens, now, ASK_MAX)
        texts: dict[str, str] = {}
        if asked:
            try:
                texts = await self._changes.texts(asked)
            except StoreUnavailable:
                asked = []
        return announcements.looked_at(opens, asked, texts, now)
