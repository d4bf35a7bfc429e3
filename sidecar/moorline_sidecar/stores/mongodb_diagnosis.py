"""Why a MongoDB is out of reach, in the words of the condition BackendReady."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from pymongo.errors import ConfigurationError as DriverConfigurationError
from pymongo.errors import NotPrimaryError
from pymongo.server_description import ServerDescription

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.causes import causes
from moorline_sidecar.stores.diagnosis import NO_TLS, Diagnosis, first_told
from moorline_sidecar.stores.mongodb_errors import (
    AUTHENTICATION_FAILED,
    UNAUTHORIZED,
    error_code,
    readable,
)
from moorline_sidecar.stores.uri_source import UriMissing

# The driver's monitors strip the causes of what they report: the text is all there is.
_NOT_IN_DNS: Final = re.compile(r"\[Errno -\d+\]")
"""The numbers of getaddrinfo(3) are negative, those of connect(2) are not."""

_TLS: Final = re.compile(r"\bSSL\b|certificate", re.IGNORECASE)
_VERSION: Final = "wire version"


def diagnose(error: BaseException, servers: Iterable[ServerDescription] = ()) -> Diagnosis:
    """What `error`, with those that caused it, and the driver's view of the servers tell."""
    descriptions = list(servers)
    errors = list(causes(error))
    errors += [found for server in descriptions for found in causes(server.error)]
    diagnosis = first_told(errors, _told_by)
    if diagnosis is not None:
        return diagnosis
    if any(server.is_server_type_known for server in descriptions):
        return Diagnosis(
            reason="NotPrimary",
            detail="the servers answer, but none of them is the primary: the replica set is "
            "electing one, or too few of its members are there",
        )
    return Diagnosis(
        reason="Unreachable",
        detail=f"no server of the connection URI answers ({readable(errors[-1])})",
    )


def _told_by(error: BaseException) -> Diagnosis | None:
    if isinstance(error, UriMissing):
        return Diagnosis(reason=error.reason, detail=error.detail)
    if isinstance(error, ConfigurationError):
        return _told_by_indexes(error)
    text, code = readable(error), error_code(error)
    if code in AUTHENTICATION_FAILED:
        reason = "AuthenticationFailed"
        detail = "the server refuses the user name or the password of the connection URI"
    elif code == UNAUTHORIZED:
        reason = "AuthenticationFailed"
        detail = "the user may not do what is needed; grant it the role readWrite"
    elif isinstance(error, NotPrimaryError):
        reason, detail = "NotPrimary", "the server is not the primary"
    elif _VERSION in text:
        reason, detail = "UnsupportedVersion", "the server's version is not supported"
    elif isinstance(error, DriverConfigurationError):
        reason = "NameNotResolved"
        detail = "the DNS records that mongodb+srv needs are not there"
    elif _NOT_IN_DNS.search(text):
        reason, detail = "NameNotResolved", "a host of the connection URI is not in the DNS"
    elif _TLS.search(text):
        reason, detail = "TLSFailed", NO_TLS
    else:
        return None
    return Diagnosis(reason=reason, detail=f"{detail} ({text})")


def _told_by_indexes(error: ConfigurationError) -> Diagnosis:
    is_forbidden = error.__cause__ is not None and error_code(error.__cause__) == UNAUTHORIZED
    reason = "AuthenticationFailed" if is_forbidden else "IndexConflict"
    return Diagnosis(reason=reason, detail=str(error))
