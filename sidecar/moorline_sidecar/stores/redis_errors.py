"""The driver's errors as the port's; the only place that knows which of them leave a write open.

A script that the server refuses to begin was surely not applied, and what can fail in one stands
before the first line that changes the session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from moorline_sidecar.errors import OutcomeUnknown, StoreError, StoreRefused, StoreUnavailable
from moorline_sidecar.stores.causes import told, without_credentials

CALL_ERRORS: Final = (RedisError, OSError)
"""Everything that a call may raise for a reason outside of this process."""

MOVED_ON: Final = (ReadOnlyError, MasterDownError, MovedError, ClusterDownError)
"""The primary is another one by now: connections are of no use any more."""

_NO_RIGHTS: Final = (AuthenticationError, AuthenticationWrongNumberOfArgsError, NoPermissionError)


class NeverSent(RedisError):
    """A connection was found closed before anything went out on it."""


_NEVER_BEGUN: Final = (AuthenticationError, BusyLoadingError, NeverSent)
"""Of a write that was not begun; the driver takes the first two for broken connections."""

_AWAY: Final = (*MOVED_ON, AskError, TryAgainError)
_AWAY_CODES: Final = ("MISCONF ", "NOREPLICAS ", "BUSY ", "LOADING ", "UNBLOCKED ")
_FORBIDDEN: Final = (
    *("NOAUTH ", "NOPERM ", "ACL failure in script", "The user executing the script can't "),
)


def failure(error: Exception, *, was_sent: bool, replies: int) -> StoreError:
    """Of a call that broke off after so many replies; `was_sent`: writes were on their way."""
    text = readable(error)
    if was_sent and (replies or not isinstance(error, _NEVER_BEGUN)):
        return OutcomeUnknown(text)
    return StoreUnavailable(text)


def refusal(error: ResponseError) -> StoreUnavailable:
    """What the server's answer to one script means; `StoreRefused` is about this one alone."""
    text = readable(error)
    is_away = isinstance(error, _AWAY) or str(error).startswith(_AWAY_CODES)
    if is_away or lacks_rights(error):
        return StoreUnavailable(text)
    return StoreRefused(text)


def lacks_rights(error: BaseException) -> bool:
    """Whether user or password are wrong, or the user may not do what is needed."""
    # What is forbidden to a script has no code of its own.
    return isinstance(error, _NO_RIGHTS) or str(error).startswith(_FORBIDDEN)


def judged(replies: Sequence[Any]) -> list[Any]:
    """The replies to writes, with `StoreRefused` for those that the server does not take.

    Raises:
        StoreUnavailable: none of them was applied.
        OutcomeUnknown: some of them, and then the server went away.
    """
    found = [refusal(each) if isinstance(each, ResponseError) else each for each in replies]
    away = [each for each in found if _is_away(each)]
    if not away:
        return found
    cause = next(each for each in replies if isinstance(each, ResponseError))
    if len(away) == len(found):
        raise away[0] from cause
    raise OutcomeUnknown(str(away[0])) from cause


def readable(error: BaseException) -> str:
    """The error in a line without credentials."""
    return told(error, without_credentials(str(error)))


def _is_away(reply: object) -> bool:
    return isinstance(reply, StoreUnavailable) and not isinstance(reply, StoreRefused)
