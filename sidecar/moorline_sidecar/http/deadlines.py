"""How long each thing that a connection waits for may take: no timers, one look now and then."""

from __future__ import annotations

from enum import Enum, auto
from math import inf

from moorline_sidecar.http.limits import Limits


class Waiting(Enum):
    """What a connection waits for."""

    REQUEST = auto()
    """The first byte of a request: a connection that does nothing costs little."""
    HEAD = auto()
    """The rest of a head: a slow sender holds a connection with next to no effort."""
    BODY = auto()
    """The rest of a body: the same, and it holds memory."""
    HANDLER = auto()
    """An answer. Whoever is asked for it has a deadline of its own."""
    READER = auto()
    """The client to read what was sent: it holds the answers."""
    FAREWELL = auto()
    """The client to close, after the last answer."""


class Deadline:
    """The deadline of one connection, found by looking at it again and again.

    What is seen for the first time gets its time from then on, so it ends up to one interval
    late, never early; and while requests come and go there is nothing to set or to cancel.
    """

    def __init__(self, limits: Limits) -> None:
        self._granted_s = {
            Waiting.REQUEST: limits.idle_s,
            Waiting.HEAD: limits.head_s,
            Waiting.BODY: limits.body_s,
            Waiting.HANDLER: inf,
            Waiting.READER: limits.idle_s,
            Waiting.FAREWELL: limits.drain_s,
        }
        self._seen: tuple[Waiting, int] | None = None
        self._ends = inf

    def has_passed(self, waiting: Waiting, serial: int, now: float) -> bool:
        """Whether the same wait, of the request numbered `serial`, has taken too long at `now`."""
        if (waiting, serial) != self._seen:
            self._seen = waiting, serial
            self._ends = now + self._granted_s[waiting]
        return now >= self._ends
