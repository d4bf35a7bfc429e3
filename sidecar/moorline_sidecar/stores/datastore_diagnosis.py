"""Why Datastore is out of reach, in the words of the condition BackendReady."""

from __future__ import annotations

from typing import Final

from google.api_core.exceptions import FailedPrecondition, Forbidden, NotFound, Unauthorized
from google.auth.exceptions import GoogleAuthError

from moorline_sidecar.stores.causes import causes
from moorline_sidecar.stores.datastore_errors import LOST, readable
from moorline_sidecar.stores.diagnosis import NO_TLS, Diagnosis, first_told
from moorline_sidecar.stores.uri_source import UriMissing

_DNS: Final = ("DNS resolution failed", "Domain name not found", "name resolution")
_TLS: Final = ("SSL_ERROR", "Handshake failed", "handshake", "certificate")


def diagnose(error: BaseException) -> Diagnosis:
    """What `error`, with those that caused it, tells."""
    errors = list(causes(error))
    return first_told(errors, _told_by) or Diagnosis(
        reason="Unreachable", detail=f"Datastore does not answer ({error})"
    )


def _told_by(error: BaseException) -> Diagnosis | None:
    if isinstance(error, UriMissing):
        return Diagnosis(reason=error.reason, detail=error.detail)
    text = readable(error)
    if isinstance(error, GoogleAuthError | Unauthorized) or "plugin failed" in text:
        reason, detail = "AuthenticationFailed", "Google does not take the credentials"
    elif isinstance(error, Forbidden):
        reason = "AuthenticationFailed"
        detail = "the identity needs the role roles/datastore.user in the project"
    elif isinstance(error, FailedPrecondition | NotFound):
        reason = "UnsupportedVersion"
        detail = "the project needs a database (default) of Firestore in Datastore mode"
    elif isinstance(error, LOST) and any(each in text for each in _DNS):
        reason, detail = "NameNotResolved", "the host of Datastore is not in the DNS"
    elif isinstance(error, LOST) and any(each in text for each in _TLS):
        reason, detail = "TLSFailed", NO_TLS
    else:
        return None
    return Diagnosis(reason=reason, detail=f"{detail} ({text})")
