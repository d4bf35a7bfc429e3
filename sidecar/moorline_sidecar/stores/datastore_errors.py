"""What the client's errors mean to the port.

The client repeats nothing by itself, as it is told. A request that was refused was not carried out;
whatever else went wrong once it was out may have been.
"""

from __future__ import annotations

from typing import Final

import grpc
from google.api_core.exceptions import (
    Aborted,
    AlreadyExists,
    DeadlineExceeded,
    GoogleAPICallError,
    ServiceUnavailable,
)
from google.auth.exceptions import GoogleAuthError

from moorline_sidecar.stores.causes import told

CLIENT_ERRORS: Final = (GoogleAPICallError, GoogleAuthError, OSError)
"""Everything that a call may raise for a reason outside of this process."""

CONTENDED: Final = Aborted
"""Others write the same entity; nothing was done."""

TAKEN: Final = AlreadyExists
"""There is such an entity."""

LATE: Final = DeadlineExceeded
"""There was no answer in time."""

LOST: Final = ServiceUnavailable
"""The connection is, or cannot be had."""

_REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)

_UNSENT: Final = (
    "DNS resolution failed",
    "Getting metadata from plugin failed",
    "failed to connect to all addresses",
)
"""How gRPC begins to tell that nothing went out. In other words it is told as open."""


def is_surely_not_applied(error: BaseException) -> bool:
    if not isinstance(error, GoogleAPICallError):
        return False
    if error.grpc_status_code in _REFUSALS:
        return True
    return str(error.message).startswith(_UNSENT)


def readable(error: BaseException) -> str:
    """The error in a line."""
    message = error.message if isinstance(error, GoogleAPICallError) else str(error)
    return told(error, str(message))
