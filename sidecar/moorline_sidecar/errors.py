"""The errors of the sidecar, classed by what the caller can do.

MoorlineError
├── ConfigurationError       correct the file or the environment; every mistake is listed
├── CannotListen             give another address, or end what listens there
├── StoreError               what a store tells the sessions layer
│   ├── StoreUnavailable     surely not applied: repeat it later              503
│   │   └── StoreRefused     it is in reach, and does not take the write
│   ├── OutcomeUnknown       perhaps applied: look before repeating           504
│   ├── AlreadyExists        the key is taken, by a session or a tombstone
│   ├── StreamUnsupported    do without: this server does not tell of changes
│   └── HistoryLost          begin the stream anew; what was missed is not told
└── Refusal                  an answer for the caller; nothing was changed
    ├── InvalidRequest       name one of the 400 problems                     400
    ├── SessionUnknown       never known, or purged                           404
    ├── AttributeUnknown                                                      404
    ├── SessionEnded         stop: it will not come back                      410
    ├── VersionConflict      look at `current`, decide again                  412
    ├── SessionExists        choose another id                                412
    ├── TooLarge             store less                                       413
    ├── InvalidValue         correct the value at `pointer`                   422
    ├── TooManySessions      end another session of the principal             429
    ├── Overloaded           repeat it later                                  503
    └── ShuttingDown         repeat it on another worker                      503
"""

from __future__ import annotations

from collections.abc import Sequence


class MoorlineError(Exception):
    """Anything that Moorline raises on purpose."""


class ConfigurationError(MoorlineError):
    """The configuration cannot be used; `mistakes` are sentences, each naming its path."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(self.mistakes))


class CannotListen(MoorlineError):
    """A listener did not get the address that `option` says."""

    def __init__(self, option: str, address: str, why: str) -> None:
        super().__init__(
            f"{option}: {address} cannot be had ({why}); end what listens there, or give another"
        )


class StoreError(MoorlineError):
    """A store did not do what it was asked to."""


class StoreUnavailable(StoreError):
    """The store is out of reach; surely nothing was applied."""


class StoreRefused(StoreUnavailable):
    """The store is in reach, and does not take this write; waiting for it may be in vain."""


class OutcomeUnknown(StoreError):
    """The store may have applied the write, or may yet."""


class AlreadyExists(StoreError):
    """The key is taken."""


class StreamUnsupported(StoreError):
    """The store does not tell of changes; its text says why."""


class HistoryLost(StoreError):
    """A stream cannot go on from where it was: changes in between are not told any more."""


class Refusal(MoorlineError):
    """A request that is answered with a problem; nothing was changed."""


class InvalidRequest(Refusal):
    """The request cannot be understood; `problem` is one of the names with status 400."""

    def __init__(self, problem: str, detail: str) -> None:
        self.problem = problem
        self.detail = detail
        super().__init__(f"{problem}: {detail}")


class SessionUnknown(Refusal):
    """There is no such session, and no trace of one; `is_named`: the request named one."""

    def __init__(self, *, is_named: bool = True) -> None:
        self.is_named = is_named
        super().__init__("no such session")


class AttributeUnknown(Refusal):
    """The session lives, but has no attribute of that name in this context."""


class SessionEnded(Refusal):
    """The session is over; `reason` is that of its tombstone."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the session has ended ({reason})")


class VersionConflict(Refusal):
    """`If-Match` named another version than the stored one; `current` is the L1's entry of it.

    `session_id` is added where the request did not name it in its path.
    """

    def __init__(self, current: object = None) -> None:
        self.current = current
        self.session_id: str | None = None
        super().__init__("the session has another version")


class SessionExists(Refusal):
    """A live session has this id already."""


class TooLarge(Refusal):
    """The session after the change would take `size` bytes; `limit` are allowed."""

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(f"{size} bytes, where {limit} are allowed")


class InvalidValue(Refusal):
    """A value that the session cannot hold; `pointer` is its JSON pointer in the request."""

    def __init__(self, pointer: str, detail: str) -> None:
        self.pointer = pointer
        self.detail = detail
        super().__init__(f"{pointer or '(root)'}: {detail}")


class TooManySessions(Refusal):
    """The principal has `limit` live sessions already."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"the principal has {limit} live sessions already")


class Overloaded(Refusal):
    """A bound is reached; surely nothing was applied. `detail` is a sentence for the caller."""

    def __init__(self, detail: str = "A bound is reached; nothing was changed, try again.") -> None:
        self.detail = detail
        super().__init__(detail)


class ShuttingDown(Refusal):
    """The process is going away; surely nothing was applied."""
