"""What writers put into the ring, and what a reader makes of it; pure.

A change is announced before it is sent: the ring has its beginning before any member has it. When
its outcome is known, the ring is told that, too. A beginning without an end is a change that may be
applied at any later moment, or never (its writer died, or got no answer). Until it is known to be
over, a reader tells its key again and again, so that no copy of it is trusted for long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias
from zlib import crc32

import msgspec
from msgspec import Struct

from moorline_sidecar.domain.session import Reason, Record, Session
from moorline_sidecar.stores.base import Seen
from moorline_sidecar.stores.decisions import Deleted

OPEN_SECONDS: Final = 1.0
"""That an end is waited for before the key is told without one. Meanwhile the stream shows nothing
newer, of which copies live for 3 s."""

ITEM_CHANGES: Final = 8
"""Beginnings, and ends, in an item, of about 60 bytes each: a ring has so many items, however large
they are. With 64 of them the 10,000 of a ring took 80 MB."""

ASK_SECONDS_MAX: Final = 30.0
"""Between two looks at what is stored for a change that is not over."""


class Begun(Struct, frozen=True, array_like=True, gc=False):
    """A change that is about to be sent.

    `version` is the one that it makes, of a deletion the one after that which is deleted; `before`
    is the checksum of the text that it replaces. No text comes back, so that with any other text in
    the store the change is done, or never will be.
    """

    id: int
    key: str
    version: int
    before: int


class Over(Struct, frozen=True, array_like=True, gc=False):
    """The end of a change: applied, or surely never; with what is to be told of it."""

    id: int
    key: str
    is_applied: bool
    version: int | None = None
    reason: Reason | None = None
    at: int | None = None

    def seen(self) -> Seen:
        is_valid = self.reason is None
        return Seen(
            key=self.key, version=self.version, is_valid=is_valid, reason=self.reason, at=self.at
        )


class Announcement(Struct, frozen=True, array_like=True):
    """One item of the ring: what many writers of a process had to say at once."""

    begun: Sequence[Begun] = ()
    over: Sequence[Over] = ()


class Step(Struct, frozen=True, kw_only=True):
    """A text that takes the place of another; None: nothing does.

    What is to be `announced` of it is None where neither version nor life of a session changes.
    """

    before: str
    after: str | None
    announced: Seen | None
    version: int

    def begun(self, number: int, key: str) -> Begun:
        return Begun(number, key, self.version, checksum(self.before))

    def over(self, begun: Begun, *, is_applied: bool) -> Over:
        seen = self.announced
        if seen is None or not is_applied:
            return Over(begun.id, begun.key, is_applied=False)
        return Over(begun.id, begun.key, is_applied, seen.version, seen.reason, seen.at)


class Open(Struct, frozen=True, kw_only=True):
    """A change that is not known to be over.

    All that was acknowledged before `complete_until`, by the clock of whoever asks, had been
    announced when this was not yet; None: that is not known. It `is_moot` when a later version of
    the key was told: nothing is left to tell of it.
    """

    begun: Begun
    complete_until: int | None
    since: float
    ask_at: float
    is_told: bool = False
    is_moot: bool = False

    @property
    def holds_up(self) -> bool:
        """Whether it may have been acknowledged without having been told."""
        return not self.is_told and not self.is_moot


Opens: TypeAlias = Mapping[int, Open]
"""By the number of each change."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Announcement).decode


def items_of(begun: Sequence[Begun], over: Sequence[Over]) -> list[bytearray]:
    """All of it, in as many items as it takes."""
    return [
        bytearray(_encode(Announcement(begun[first:last], over[first:last])))
        for first in range(0, max(len(begun), len(over)), ITEM_CHANGES)
        for last in (first + ITEM_CHANGES,)
    ]


def announcement_of(item: object) -> Announcement:
    """An empty one where nobody can read it: it is none of ours."""
    try:
        return _decode(item) if isinstance(item, bytearray) else Announcement()
    except msgspec.MsgspecError:
        return Announcement()


def checksum(text: str) -> int:
    return crc32(text.encode())


def step_of(before: str, stored: Record, after: Record | Deleted, text: str | None) -> Step:
    """What replaces `stored`, whose text is `before`, by `after`, whose text is `text`."""
    announced = None
    if isinstance(after, Deleted):
        # An end is final: that its trace goes, too, is no news.
        if isinstance(stored, Session):
            announced = Seen(key=stored.key, version=None)
    elif after.version != stored.version:
        if isinstance(after, Session):
            announced = Seen(key=after.key, version=after.version, at=after.last_saved)
        else:
            announced = Seen(
                key=after.key,
                version=after.version,
                is_valid=False,
                reason=after.reason,
                at=after.invalidated,
            )
    return Step(before=before, after=text, announced=announced, version=stored.version + 1)


def follow(
    opens: Opens, news: Iterable[Announcement], complete_until: int | None, now: float
) -> tuple[dict[int, Open], list[Seen]]:
    """What is open after these announcements, and what they tell.

    `complete_until` is when the last reply with all that there was had been asked for; `now` in
    seconds.
    """
    after = dict(opens)
    numbers: dict[str, set[int]] = {}
    for number, each in after.items():
        numbers.setdefault(each.begun.key, set()).add(number)
    seen = []
    for announcement in news:
        for begun in announcement.begun:
            after[begun.id] = Open(
                begun=begun, complete_until=complete_until, since=now, ask_at=now + OPEN_SECONDS
            )
            numbers.setdefault(begun.key, set()).add(begun.id)
        for over in announcement.over:
            ended = after.pop(over.id, None)
            numbers.get(over.key, set()).discard(over.id)
            if not over.is_applied or (ended is not None and ended.is_moot):
                continue
            seen.append(over.seen())
            for number in numbers.get(over.key, ()):
                if over.version is not None and after[number].begun.version <= over.version:
                    # Done before that one, or never: to tell of it now would be out of order.
                    after[number] = msgspec.structs.replace(after[number], is_moot=True)
    return after, seen


def overdue(opens: Opens, now: float) -> list[Open]:
    """Those whose end has not come for long."""
    return [each for each in opens.values() if now >= each.since + OPEN_SECONDS]


def to_ask(opens: Opens, now: float, limit: int) -> list[str]:
    """Keys whose texts shall be asked for now."""
    keys = (each.begun.key for each in opens.values() if now >= each.ask_at)
    return list(dict.fromkeys(keys))[:limit]


def looked_at(
    opens: Opens, asked: Iterable[str], texts: Mapping[str, str], now: float
) -> tuple[dict[int, Open], list[Seen]]:
    """What is open, and what is told without an end, after the store held `texts` of the keys.

    What turns out to be over is told for the last time: it may be so since a moment ago.
    """
    sums = {key: checksum(texts[key]) if key in texts else None for key in asked}
    after = dict(opens)
    seen = []
    for each in overdue(opens, now):
        begun = each.begun
        if not each.is_moot:
            seen.append(Seen(key=begun.key, version=begun.version))
        if begun.key not in sums:
            after[begun.id] = msgspec.structs.replace(each, is_told=True)
        elif sums[begun.key] == begun.before:
            ask_at = now + min(ASK_SECONDS_MAX, now - each.since)
            after[begun.id] = msgspec.structs.replace(each, is_told=True, ask_at=ask_at)
        else:
            del after[begun.id]
    return after, seen


def complete(opens: Opens, asked_at: int) -> int | None:
    """Until when all that was acknowledged has been told, after a reply with all that there is.

    A change is acknowledged only after its beginning is in the ring. Those that had not begun in
    the reply before one that shows them open were not acknowledged when that one was asked for.
    """
    known: int | None = asked_at
    for each in opens.values():
        if each.holds_up and known is not None:
            known = None if each.complete_until is None else min(known, each.complete_until)
    return known
