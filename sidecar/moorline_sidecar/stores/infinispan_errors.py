"""What errors of the connection and of the server mean to the port."""

from __future__ import annotations

from typing import Final

from moorline_sidecar.errors import OutcomeUnknown, StoreError, StoreUnavailable
from moorline_sidecar.stores.causes import told, without_credentials
from moorline_sidecar.stores.infinispan_wire import BadReply, Reply, Status

_MAYBE_DONE: Final = frozenset(
    {Status.FAILED, Status.TIMED_OUT, Status.NODE_LOST, Status.NOT_RUNNING}
)
"""Errors in which a server may have begun."""

_NOT_BEGUN: Final = (
    "CacheNotFoundException",
    "SecurityException",
    # That a cache is not ready yet.
    "ISPN005066",
)
"""Parts of the text of errors that are raised before anything is done."""

_FULL: Final = "ContainerFullException"
_NO_RIGHTS: Final = ("SecurityException", "ISPN006017", "ISPN000287")


class ServerError(Exception):
    """The server answered that it did not do it."""

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        # Behind the first line are its causes.
        self._causes = reply.text
        super().__init__(reply.text.partition("\n")[0])

    @property
    def is_begun(self) -> bool:
        """Whether what it was asked for may have been done in part or as a whole."""
        return self.status in _MAYBE_DONE and not any(name in str(self) for name in _NOT_BEGUN)

    @property
    def is_full(self) -> bool:
        return _FULL in self._causes

    @property
    def is_forbidden(self) -> bool:
        return any(name in str(self) for name in _NO_RIGHTS)

    @property
    def is_no_cache(self) -> bool:
        return "CacheNotFoundException" in str(self)


class LoginFailed(Exception):
    """The server refuses the user or the password, or we refuse the server."""


CALL_ERRORS: Final = (OSError, EOFError, BadReply, LoginFailed, ServerError)
"""Everything that a call may raise for a reason outside of this process."""


def failure(error: Exception, *, may_have_changed: bool) -> StoreError:
    text = readable(error)
    return OutcomeUnknown(text) if may_have_changed else StoreUnavailable(text)


def readable(error: BaseException) -> str:
    """The error in a line without credentials."""
    if isinstance(error, TimeoutError):
        return "there was no answer in time"
    return told(error, without_credentials(str(error)))
