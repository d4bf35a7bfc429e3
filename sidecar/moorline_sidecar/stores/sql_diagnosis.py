"""Why a relational server is out of reach, in the words of the condition BackendReady."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from sqlalchemy.exc import DBAPIError

from moorline_sidecar.errors import ConfigurationError, StoreError
from moorline_sidecar.stores.diagnosis import Diagnosis
from moorline_sidecar.stores.sql_dialects import Dialect
from moorline_sidecar.stores.sql_errors import readable
from moorline_sidecar.stores.uri_source import UriMissing


def diagnose(dialect: Dialect, error: BaseException) -> Diagnosis:
    """What `error`, with those that caused it, tells."""
    errors = list(_chain(error))
    for found in errors:
        diagnosis = _told_by(dialect, found)
        if diagnosis is not None:
            return diagnosis
    return Diagnosis(
        reason="Unreachable",
        detail=f"the {dialect.name} server does not answer ({readable(errors[-1])})",
    )


def _told_by(dialect: Dialect, error: BaseException) -> Diagnosis | None:
    if isinstance(error, UriMissing):
        return Diagnosis(reason=error.reason, detail=error.detail)
    if isinstance(error, ConfigurationError):
        return Diagnosis(reason="IndexConflict", detail=str(error))
    told = dialect.reason(error)
    if told is None and isinstance(error, socket.gaierror):
        told = "NameNotResolved", "a host of the connection URI is not in the DNS"
    if told is None and isinstance(error, ssl.SSLError):
        sentence = (
            "the server speaks no TLS, or its certificate is not for this name or not trusted"
        )
        told = "TLSFailed", sentence
    if told is None:
        return None
    reason, detail = told
    return Diagnosis(reason=reason, detail=f"{detail} ({readable(error)})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        if not (isinstance(error, StoreError) and error.__cause__ is not None):
            # A translated error only repeats its cause.
            yield error
        if isinstance(error, DBAPIError) and error.orig is not None:
            error = error.orig
        else:
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
