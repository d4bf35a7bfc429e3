"""Why a Hazelcast cluster is out of reach, in the words of the condition BackendReady."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from hazelcast.errors import (
    AccessControlError,
    AuthenticationError,
    ClientNotAllowedInClusterError,
    HazelcastCertificationError,
    SecurityError,
)

from moorline_sidecar.errors import StoreError
from moorline_sidecar.stores.diagnosis import Diagnosis
from moorline_sidecar.stores.hazelcast_errors import readable
from moorline_sidecar.stores.uri_source import UriMissing


def diagnose(error: BaseException) -> Diagnosis:
    """What `error`, with those that caused it, tells."""
    errors = list(_chain(error))
    for found in errors:
        diagnosis = _told_by(found)
        if diagnosis is not None:
            return diagnosis
    return Diagnosis(
        reason="Unreachable",
        detail=f"no member of the cluster answers ({readable(errors[-1])})",
    )


def _told_by(error: BaseException) -> Diagnosis | None:
    if isinstance(error, UriMissing):
        return Diagnosis(reason=error.reason, detail=error.detail)
    if isinstance(error, AuthenticationError | ClientNotAllowedInClusterError):
        reason = "AuthenticationFailed"
        detail = (
            "the cluster has another name than spec.backend.hazelcast.clusterName, or refuses the "
            "user name or the password of the connection URI"
        )
    elif isinstance(error, AccessControlError | SecurityError):
        reason, detail = "AuthenticationFailed", "the user may not do what is needed with the map"
    elif isinstance(error, socket.gaierror):
        reason, detail = "NameNotResolved", "the host of a member is not in the DNS"
    elif isinstance(error, ssl.SSLError | HazelcastCertificationError):
        reason = "TLSFailed"
        detail = "the member speaks no TLS, or its certificate is not for this name or not trusted"
    else:
        return None
    return Diagnosis(reason=reason, detail=f"{detail} ({readable(error)})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        if not (isinstance(error, StoreError) and error.__cause__ is not None):
            # A translated error only repeats its cause.
            yield error
        error = error.__cause__
