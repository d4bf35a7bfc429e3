"""What every hit touches, in Python: the reference for `_compiled.c`, and its stand-in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

START: Final = b"GET /v1/sessions/"
ID_BYTES: Final = 32
LINE_BYTES: Final = len(START) + ID_BYTES
"""What names of answers differ by: the line up to an id of that many characters."""

REMEMBERED: Final = 4_096
"""Milliseconds, as a second of a busy worker has them, and seconds; half a megabyte."""

LAST_INSTANT: Final = 253_402_300_799_999
"""The last millisecond of 9999, the last year that RFC 3339 can write."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = tuple(b"%03dZ" % ms for ms in range(1000))
_BEFORE_ACCESSED: Final = b'","accessed":"'
_BEFORE_LAST: Final = b'","lastAccessed":"'
_BEFORE_EXPIRY: Final = b'","expires":"'
_END: Final = b"}"


@functools.lru_cache(maxsize=REMEMBERED)
def instant(ms: int) -> bytes:
    """`1700000000000` as `2023-11-14T22:13:20.000Z`: RFC 3339, milliseconds, UTC.

    What is before 1970 or after 9999 is shown as the nearest that is not: others may have written
    it, and the text has one length.
    """
    seconds, rest = divmod(min(max(ms, 0), LAST_INSTANT), 1000)
    return _second(seconds) + _MS[rest]


@functools.lru_cache(maxsize=REMEMBERED)
def _second(seconds: int) -> bytes:
    # Sessions in use share the seconds of "now" and of "now + maxIdle".
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.").encode()


TIMES_BYTES: Final = len(_BEFORE_ACCESSED + _BEFORE_LAST + _BEFORE_EXPIRY) + 3 * len(instant(0))
"""What `hit` puts between `own` and `middle`."""


class Times(Struct, eq=False, gc=False):
    """The times of a copy: this worker's own, and what it last knew to be stored; milliseconds.

    Mutable, because every hit moves them; the copy and the queue of unwritten times share one.
    What else a hit moves is with them: `used_at`, by the monotonic clock, and `frequency`, how
    often the copy was used of late, as the L1 counts it.
    """

    own_accessed: int
    own_expiry: int | None
    stored_accessed: int
    stored_expiry: int | None
    stored_node: str
    deadline: int | None
    max_idle_ms: int
    own_last_accessed: int = 0
    calm_until: int = 0
    """Until then an access only moves the own times: see `policies.calm_until`. 0 where nobody has
    looked.

    Whoever moves the stored times, `max_idle_ms` or `is_queued` sets it to 0."""
    is_queued: bool = False
    is_in_flight: bool = False
    used_at: int = 0
    frequency: int = 0


class Standing(Struct, gc=False):
    """What decides whether any copy may be answered with: asked at each hit, kept elsewhere.

    The change stream vouches, before `until`, for what was confirmed after `since`: monotonic
    milliseconds. `is_down`: the store is out of reach. `hits` are those that the compiled `Hits`
    has counted by itself: `Core.counted` adds them to the others.
    """

    since: int = 0
    until: int = 0
    is_down: bool = False
    hits: int = 0


class Answer(Struct, eq=False, kw_only=True, gc=False):
    """The answer to a hit on a session that expires: all that does not change between two of them.

    `lead` is status line and fields, `own` its tag up to `tag_end`, framing, and from `json_start`
    on the JSON up to the times; `middle` is what follows them. What many sessions have in common
    they share, and `attributes` is the text that the session holds: the fewer bytes are a session's
    own, the fewer a hit has to fetch from memory. `other` is of another context. While `names`
    finds it, `entry` is whose it is.
    """

    context: str
    lead: bytes
    own: bytes
    middle: bytes
    attributes: bytes
    tag_end: int
    json_start: int
    other: Answer | None = None
    entry: Any = None
    name: bytes = b""
    names: dict[bytes, Answer] | None = None

    def unname(self) -> None:
        """Be found no more."""
        if self.names is None:
            return
        if self.names.get(self.name) is self:
            del self.names[self.name]
        self.names = self.entry = None
        self.name = b""


class Names:
    """Answers by whole requests that ask for them.

    A name is such a request: a line of `LINE_BYTES`, up to the id, and a rest, which is all that
    follows. Many have the same rest. An answer has one name at most.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, Answer] = {}
        self.find = self._known.get

    def __len__(self) -> int:
        return len(self._known)

    def put(self, answer: Answer, entry: Any, since: int, name: bytes, rest: bytes) -> None:  # noqa: ANN401, ARG002
        """Let an answer of an entry be found: by one name, and instead of any other's.

        `rest` is what the name has after `LINE_BYTES`, the same object for all who have the same.
        By the name it is trusted as long as the stream is the one that has begun at `since`.

        Raises:
            ValueError: the name is not such a line and that rest.
        """
        if len(name) < LINE_BYTES or name[LINE_BYTES:] != rest:
            raise ValueError("the name does not end with the rest")
        answer.unname()
        displaced = self._known.get(name)
        if displaced is not None:
            displaced.unname()
        answer.entry, answer.name, answer.names = entry, name, self._known
        self._known[name] = answer

    def clear(self) -> None:
        """Let nothing be found; answers keep their entry until they are put again or unnamed."""
        self._known.clear()


class Clock(Protocol):
    """`offset` is what the store's time is ahead of the monotonic one, in milliseconds."""

    offset: int

    def nanoseconds(self) -> int:
        """The monotonic time."""


class Hits:
    """Answers those requests that are the names of answers.

    `on_named` decides about a named answer, counts the access and returns the whole. The compiled
    class does all three itself where `Times.calm_until` allows it, and else asks with nothing
    counted; this one always asks. `on_other` is asked about all that is no name. What they raise,
    or the clock, is passed on.
    """

    def __init__(  # noqa: PLR0913, PLR0917 the compiled class needs them all
        self,
        names: Names,
        standing: Standing,  # noqa: ARG002
        clock: Clock,  # noqa: ARG002
        frequency_max: int,  # noqa: ARG002
        on_named: Callable[[Answer], bytes | None],
        on_other: Callable[[bytes], bytes | None],
    ) -> None:
        self._find = names.find
        self._on_named = on_named
        self._on_other = on_other

    def answer(self, data: bytes) -> bytes | None:
        """The framed answer to a hit; None for all else."""
        answer = self._find(data)
        return self._on_other(data) if answer is None else self._on_named(answer)


class Flow(Struct, gc=False):
    """What has passed through all connections: bytes `received` and `sent`, and `hits`."""

    received: int = 0
    sent: int = 0
    hits: int = 0


class Receiver:
    """Takes what comes on one connection.

    While the connection `is_waiting`, for a request and for nothing else, the compiled class
    answers hits itself, past the transport where that has nothing to send, and counts them. It
    leaves all else to `on_other`, and goes on when that has set `is_waiting` again. This one leaves
    everything to it. `quick` is what `Hits.answer` is, or something else that is never asked here.
    """

    def __init__(
        self,
        quick: Callable[[bytes], bytes | None],  # noqa: ARG002
        flow: Flow,  # noqa: ARG002
        on_other: Callable[[bytes], None],
    ) -> None:
        self.receive = on_other
        """Take what has come."""
        self.is_waiting = False
        self.hits = 0
        """Of this connection; whoever sets `is_waiting` counts those before."""

    def connect(
        self, write: Callable[[bytes], None], unsent: Callable[[], int], socket: int
    ) -> None:
        """Answer by `socket`, a descriptor or -1, where `unsent` says 0, and else by `write`."""

    def close(self) -> None:
        """Answer nothing more, and let go of all; what still comes is nobody's."""
        self.is_waiting = False
        self.receive = _drop


def _drop(_: bytes) -> None: ...


def hit(answer: Answer, times: Times, more: bytes = b"") -> bytes:
    """The whole answer to a hit on a session that expires, framed; `more` are further fields."""
    return b"".join(
        (
            answer.lead,
            more,
            answer.own,
            _BEFORE_ACCESSED,
            instant(times.own_accessed),
            _BEFORE_LAST,
            instant(times.own_last_accessed),
            _BEFORE_EXPIRY,
            instant(times.own_expiry or 0),
            answer.middle,
            answer.attributes,
            _END,
        )
    )


Row: TypeAlias = tuple[Any, ...]
"""A live session's fields as MongoDB has them, in the order in which they are written: those that
every session has, then `deadline`, `principal`, `recent` and `renewOf`, each None where there is
none, and last the texts of its contexts by their names."""


def found(reply: bytes | memoryview) -> tuple[bytes, list[Row | bytes]] | None:
    """What MongoDB replied to a `find`, as BSON: all but the cursor, and the documents in that.

    A document that is not as a worker writes a live session stays bytes. None: the whole reply is
    to be read in another way. In Python that is always so: bytes looked at one by one would cost
    more than the objects that the driver makes.
    """
    del reply
    return None
