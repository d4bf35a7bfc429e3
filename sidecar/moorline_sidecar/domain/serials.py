"""Numbers of writes that may have to be repeated later, by another process even.

A worker that keeps changes through an outage numbers them. The write that brings them to the store
leaves its number in the session, so that whoever repeats them, after a lost answer or a crash,
finds out that they are there. Numbers stand among the idempotency keys, which hold no space.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct, structs

from moorline_sidecar.domain.session import Session

SERIALS_MAX: Final = 16
"""Processes whose numbers a session keeps, as many as keys of callers.

All that write to it count, also those that never saw the outage of the one that repeats.
"""

_MARK: Final = "moorline "


class Serial(Struct, frozen=True):
    """The place of a write among those of one process, which `journal` names."""

    journal: str
    number: int

    def __str__(self) -> str:
        return f"{_MARK}{self.journal} {self.number}"


def is_applied(serial: Serial, recent: Iterable[str]) -> bool:
    """Whether what has this number is in a session with these `recent` keys."""
    last = _numbers(recent).get(serial.journal)
    return last is not None and last >= serial.number


def numbered(session: Session, serial: Serial) -> Session:
    """The session with the number of the newest write in it."""
    if is_applied(serial, session.recent):
        return session
    serials, keys = parted(session.recent)
    others = [text for text in serials if _serial(text).journal != serial.journal]
    kept = others[-(SERIALS_MAX - 1) :]
    return structs.replace(session, recent=(*kept, str(serial), *keys))


def parted(recent: Iterable[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Numbers, and the keys that callers have given."""
    serials: list[str] = []
    keys: list[str] = []
    for text in recent:
        (serials if text.startswith(_MARK) else keys).append(text)
    return serials, keys


def _numbers(recent: Iterable[str]) -> dict[str, int]:
    found = (_serial(text) for text in recent if text.startswith(_MARK))
    return {serial.journal: serial.number for serial in found}


def _serial(text: str) -> Serial:
    journal, _, number = text[len(_MARK) :].partition(" ")
    return Serial(journal, int(number) if number.isdecimal() else 0)
