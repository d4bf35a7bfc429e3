"""Why an Infinispan server is out of reach, in the words of the condition BackendReady."""

from __future__ import annotations

from moorline_sidecar.stores.causes import causes
from moorline_sidecar.stores.diagnosis import Diagnosis, first_told, told_by_network
from moorline_sidecar.stores.infinispan_errors import LoginFailed, ServerError, readable
from moorline_sidecar.stores.infinispan_wire import BadReply
from moorline_sidecar.stores.uri_source import UriMissing


def diagnose(error: BaseException) -> Diagnosis:
    """What `error`, with those that caused it, tells."""
    errors = list(causes(error))
    return first_told(errors, _told_by) or Diagnosis(
        reason="Unreachable",
        detail=f"no server of the connection URI answers ({readable(errors[0])})",
    )


def _told_by(error: BaseException) -> Diagnosis | None:
    if isinstance(error, UriMissing):
        return Diagnosis(reason=error.reason, detail=error.detail)
    if isinstance(error, LoginFailed):
        reason, detail = "AuthenticationFailed", "the server refuses the user or the password"
    elif isinstance(error, ServerError) and error.is_forbidden:
        reason = "AuthenticationFailed"
        detail = "the user may not do what is needed; without a user in the URI nobody may"
    elif isinstance(error, BadReply):
        reason = "UnsupportedVersion"
        detail = "what answers is no Infinispan server, or not its port for Hot Rod"
    elif (told := told_by_network(error)) is not None:
        reason, detail = told
    else:
        return None
    return Diagnosis(reason=reason, detail=f"{detail} ({readable(error)})")
