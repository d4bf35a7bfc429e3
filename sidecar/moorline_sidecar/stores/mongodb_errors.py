"""The driver's errors as the port's; the only place that knows which of them leave a write open."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from pymongo.errors import (
    DuplicateKeyError,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WriteError,
)
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from moorline_sidecar.errors import (
    AlreadyExists,
    OutcomeUnknown,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from moorline_sidecar.stores.causes import told, without_credentials

TOO_LARGE_CODES: Final = frozenset({10334, 17419, 17420})
"""BSONObjectTooLarge, and what an update says whose result would be."""

COMMAND_NOT_FOUND: Final = 59
AUTHENTICATION_FAILED: Final = frozenset({18, 8000})
"""AuthenticationFailed, and what Atlas says instead."""

UNAUTHORIZED: Final = 13

# Codes of a server that refused a command before it did anything: bad value, failed to parse,
# unauthorized, type mismatch, invalid length, authentication, illegal operation, namespace
# unknown, command unknown, invalid options, write conflict, view, overloaded, no space, Atlas, and
# the three of a member that is no primary. Interrupted, killed, shut down or timed out are not
# among them: the server also says so while it waits for others to have the write.
_REFUSED_CODES: Final = frozenset(
    {2, 9, 13, 14, 16, 18, 20, 26, 59, 72, 112, 166, 462, 14031, 8000, 10058, 10107, 13435}
)
_NEVER_APPLIED: Final = (ServerSelectionTimeoutError, WaitQueueTimeoutError, WriteError)
_WRITES: Final = frozenset({"insert", "update", "delete", "bulkWrite"})
_TAIL: Final = re.compile(
    r"\n|, full error: |, Timeout: |, Topology Description: | \(configured timeouts: "
)
"""Where the driver goes on to repeat the reply, its settings and all of the topology."""


class _Watch:
    was_sent = False


_watch: ContextVar[_Watch | None] = ContextVar("moorline_write_watch", default=None)


class SentWrites(CommandListener):
    """Notes in the watch of the running task that a write is about to go out.

    The driver has one error for a connection that could not be made and for one that broke with
    the write on its way.
    """

    def started(self, event: CommandStartedEvent) -> None:
        watch = _watch.get()
        if watch is not None and event.command_name in _WRITES:
            watch.was_sent = True

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@contextmanager
def translated(*, writes: bool) -> Iterator[None]:
    """Raises the port's errors in place of the driver's; `writes`: what is within may apply."""
    watch = _Watch()
    token = _watch.set(watch) if writes else None
    try:
        yield
    except PyMongoError as error:
        raise store_error(error, was_sent=watch.was_sent) from error
    except TimeoutError as error:
        meaning = OutcomeUnknown if watch.was_sent else StoreUnavailable
        raise meaning("there was no answer in time") from error
    finally:
        if token is not None:
            _watch.reset(token)


def store_error(error: PyMongoError, *, was_sent: bool) -> StoreError:
    """What the driver's error means; `was_sent`: a write had gone out before it."""
    text = readable(error)
    if isinstance(error, DuplicateKeyError):
        return AlreadyExists("the key is taken")
    if isinstance(error, WriteError):
        return StoreRefused(text)
    if was_sent and not is_refused(error):
        return OutcomeUnknown(text)
    return StoreUnavailable(text)


def readable(error: BaseException) -> str:
    """The error in a line without credentials."""
    return told(error, _TAIL.split(without_credentials(str(error)), maxsplit=1)[0])


def error_code(error: BaseException) -> int | None:
    """The server's code, where the error holds one."""
    if isinstance(error, OperationFailure):
        return error.code
    if isinstance(error, NotPrimaryError) and isinstance(error.details, dict):
        code = error.details.get("code")
        return code if isinstance(code, int) else None
    return None


def is_refused(error: PyMongoError) -> bool:
    """Whether what failed like this was surely not applied, though it had gone out."""
    if isinstance(error, WriteConcernError):
        return False
    return (
        isinstance(error, _NEVER_APPLIED)
        or error.has_error_label("NoWritesPerformed")
        or error_code(error) in _REFUSED_CODES
    )
