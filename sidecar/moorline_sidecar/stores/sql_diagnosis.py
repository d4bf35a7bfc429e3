"""Why a relational server is out of reach, in the words of the condition BackendReady."""

from __future__ import annotations

from functools import partial

from sqlalchemy.exc import DBAPIError

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.causes import cause_or_context_of, causes
from moorline_sidecar.stores.diagnosis import Diagnosis, first_told, told_by_network
from moorline_sidecar.stores.sql_dialects import Dialect
from moorline_sidecar.stores.sql_errors import readable
from moorline_sidecar.stores.uri_source import UriMissing


def diagnose(dialect: Dialect, error: BaseException) -> Diagnosis:
    """What `error`, with those that caused it, tells."""
    errors = list(causes(error, _before))
    return first_told(errors, partial(_told_by, dialect)) or Diagnosis(
        reason="Unreachable",
        detail=f"the {dialect.name} server does not answer ({readable(errors[-1])})",
    )


def _told_by(dialect: Dialect, error: BaseException) -> Diagnosis | None:
    if isinstance(error, UriMissing):
        return Diagnosis(reason=error.reason, detail=error.detail)
    if isinstance(error, ConfigurationError):
        return Diagnosis(reason="IndexConflict", detail=str(error))
    told = dialect.reason(error) or told_by_network(error)
    if told is None:
        return None
    reason, detail = told
    return Diagnosis(reason=reason, detail=f"{detail} ({readable(error)})")


def _before(error: BaseException) -> BaseException | None:
    # What the driver itself has raised.
    raised = error.orig if isinstance(error, DBAPIError) else None
    return raised or cause_or_context_of(error)
