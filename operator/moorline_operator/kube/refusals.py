"""What the API server's refusals mean: the one place where they become the operator's errors."""

import json
from typing import Final

from moorline_operator.errors import (
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    KubeError,
    NamespaceEnding,
    NotFound,
    Unavailable,
)

_BY_STATUS: Final[dict[int, type[KubeError]]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Expired,
    415: Invalid,
    422: Invalid,
}

_NAMESPACE_ENDING: Final = b'"NamespaceTerminating"'
"""The cause that the API server gives where nothing new may be made."""


def refusal(action: str, status: int, body: bytes) -> KubeError:
    """The error for an answer of that HTTP status; `body` should be a `metav1.Status`."""
    detail, reason = _told(body)
    kind = _BY_STATUS.get(status, Unavailable)
    if kind is Conflict and reason == "AlreadyExists":
        kind = AlreadyExists
    if kind is Forbidden and _NAMESPACE_ENDING in body:
        kind = NamespaceEnding
    return kind(action, detail or f"HTTP {status}")


def _told(body: bytes) -> tuple[str, str]:
    try:
        told = json.loads(body)
    except ValueError:
        return body[:200].decode(errors="replace"), ""
    if not isinstance(told, dict):
        return "", ""
    # In an event of a watch it is one level below.
    told = told.get("object", told)
    return str(told.get("message", "")), str(told.get("reason", ""))
