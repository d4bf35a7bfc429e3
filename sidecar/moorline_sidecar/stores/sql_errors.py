"""The drivers' errors as the port's; the only place that knows which of them leave a write open."""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime

from moorline_sidecar.errors import (
    AlreadyExists,
    ConfigurationError,
    MoorlineError,
    OutcomeUnknown,
    StoreRefused,
    StoreUnavailable,
    TooLarge,
)
from moorline_sidecar.stores.causes import told, without_credentials
from moorline_sidecar.stores.sql_dialects import Dialect, Fault

_ROLLED_BACK: Final = frozenset({Fault.TAKEN, Fault.TOO_LARGE, Fault.REFUSED, Fault.AGAIN})
"""What a server answers to a commit that it has not carried out."""


def errors_of(dialect: Dialect) -> tuple[type[Exception], ...]:
    """Everything that a call may raise for a reason outside of this process."""
    return (SQLAlchemyError, OSError, *dialect.driver_errors)


def fault_of(dialect: Dialect, error: Exception) -> Fault:
    if isinstance(error, NoConnectionInTime):
        return Fault.DECLINED
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Fault.BROKEN
    return dialect.fault(error)


def store_error(dialect: Dialect, error: Exception, *, was_committing: bool) -> MoorlineError:
    """What the driver's error means; `was_committing`: the commit had gone out before it."""
    fault, text = fault_of(dialect, error), readable(error)
    if was_committing and fault not in _ROLLED_BACK:
        return OutcomeUnknown(text)
    match fault:
        case Fault.TAKEN:
            return AlreadyExists("the key is taken")
        case Fault.TOO_LARGE:
            return TooLarge(0, 0)
        case Fault.REFUSED:
            return StoreRefused(text)
    return StoreUnavailable(text)


def readable(error: BaseException) -> str:
    """The error in a line without credentials, and without the values of the statement."""
    found = error
    if isinstance(error, DBAPIError) and error.orig is not None:
        # SQLAlchemy's own text shows the statement, and the adapter's the driver's error.
        found = error.orig.__cause__ or error.orig
    if isinstance(error, ConfigurationError):
        return str(error)
    return told(found, without_credentials(str(found)))
