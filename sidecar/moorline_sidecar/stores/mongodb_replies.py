"""What the server tells beside the events of a change stream: its time, and how far it looked."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from bson.timestamp import Timestamp
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

PENDING_MAX: Final = 1_000
"""Replies that are remembered while a stream is behind the server's time."""

_QUESTIONS: Final = frozenset({"aggregate", "getMore"})

_MONGODB_TOKEN: Final = re.compile("82([0-9A-Fa-f]{8})([0-9A-Fa-f]{8})")
"""A resume token of MongoDB begins with a time, as its KeyString encodes one; others do not."""


class LastReply:
    """The newest reply that was heard: `size` events, of a `getMore` or of what opened the stream.

    `time` is the cluster's time when it was sent, None where the server has none.
    """

    def __init__(self) -> None:
        self.size = 0
        self.is_of_get_more = False
        self.time: Timestamp | None = None

    def take(self, command: str, reply: Mapping[str, Any]) -> None:
        cursor = reply.get("cursor", {})
        self.is_of_get_more = command == "getMore"
        self.size = len(cursor.get("nextBatch" if self.is_of_get_more else "firstBatch", ()))
        # The operation time of such a reply may be that of the majority, which stands still with
        # the stream when members are away.
        gossiped = reply.get("$clusterTime", {}).get("clusterTime")
        time = gossiped if gossiped is not None else reply.get("operationTime")
        self.time = time if isinstance(time, Timestamp) else None


class Progress:
    """How far a stream has told everything, on servers whose tokens show a position.

    What was acknowledged before a question has a time that is not after that of its reply. A stream
    may lag behind that time: where members are away and a write waits for no majority, or behind a
    shard on which nothing happens. An empty reply is no proof then.
    """

    def __init__(self) -> None:
        self._pending: deque[tuple[Timestamp, int]] = deque(maxlen=PENDING_MAX)

    def complete_until(self, asked_at: int, time: Timestamp, position: Timestamp) -> int | None:
        """When the newest question was asked before which all that was acknowledged is told.

        This one's reply was sent at `time`, and the stream has come to `position`. None: none since
        the last one that was returned.
        """
        self._pending.append((time, asked_at))
        newest = None
        while self._pending and self._pending[0][0] <= position:
            newest = self._pending.popleft()[1]
        return newest


_listening: ContextVar[LastReply | None] = ContextVar("moorline_stream_reply", default=None)


@contextmanager
def heard_by(reply: LastReply) -> Iterator[None]:
    """Replies to what this task asks within are taken by `reply`."""
    token = _listening.set(reply)
    try:
        yield
    finally:
        _listening.reset(token)


class StreamReplies(CommandListener):
    """Hands replies on; the driver shows of them only the events, one at a time."""

    def started(self, event: CommandStartedEvent) -> None:
        pass

    def succeeded(self, event: CommandSucceededEvent) -> None:
        reply = _listening.get()
        if reply is not None and event.command_name in _QUESTIONS:
            reply.take(event.command_name, event.reply)

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def position_of(token: Mapping[str, Any] | None) -> Timestamp | None:
    """Up to when a stream has told everything; None where the token does not show it."""
    data = (token or {}).get("_data")
    match = _MONGODB_TOKEN.match(data) if isinstance(data, str) else None
    return None if match is None else Timestamp(int(match[1], 16), int(match[2], 16))
