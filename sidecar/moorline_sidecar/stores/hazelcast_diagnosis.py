"""Why a Hazelcast cluster is out of reach, in the words of the condition BackendReady."""

from __future__ import annotations

import socket
import ssl

from hazelcast.errors import (
    AccessControlError,
    AuthenticationError,
    ClientNotAllowedInClusterError,
    HazelcastCertificationError,
    SecurityError,
)

from moorline_sidecar.stores.causes import causes
from moorline_sidecar.stores.diagnosis import Diagnosis, first_told
from moorline_sidecar.stores.hazelcast_errors import readable
from moorline_sidecar.stores.uri_source import UriMissing


def diagnose(error: BaseException) -> Diagnosis:
    """What `error`, with those that caused it, tells."""
    errors = list(causes(error))
    return first_told(errors, _told_by) or Diagnosis(
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
