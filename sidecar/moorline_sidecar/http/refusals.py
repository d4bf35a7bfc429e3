"""The problem that answers each error of the sessions layer."""

from __future__ import annotations

from moorline_sidecar.errors import (
    AttributeUnknown,
    InvalidRequest,
    InvalidValue,
    MoorlineError,
    OutcomeUnknown,
    Overloaded,
    SessionEnded,
    SessionExists,
    SessionUnknown,
    ShuttingDown,
    StoreUnavailable,
    TooLarge,
    TooManySessions,
    VersionConflict,
)
from moorline_sidecar.http.messages import Response
from moorline_sidecar.http.problems import problem


def refusal_of(error: MoorlineError, *, current: object = None, fields: bytes = b"") -> Response:  # noqa: C901, PLR0911, PLR0912 one case an error
    """The answer to a request that failed; `current` is the session of a version conflict."""
    match error:
        case InvalidRequest():
            return problem(error.problem, _sentence(error.detail))
        case SessionUnknown(is_named=False):
            return problem(
                "session-unknown",
                "The request names no session, by cookie or Moorline-Session; begin one.",
            )
        case SessionUnknown():
            return problem(
                "session-unknown",
                "No session has this id; it was never created here, or it was purged.",
            )
        case AttributeUnknown():
            return problem("attribute-unknown", "The session has no such attribute here.")
        case SessionEnded():
            return problem(
                "session-ended",
                "The session is over and will not come back; begin a new one.",
                reason=str(error.reason),
            )
        case VersionConflict():
            return problem(
                "version-conflict",
                "Somebody changed the session since; look at `current` and decide again.",
                fields=fields,
                current=current,
            )
        case SessionExists():
            return problem("session-exists", "A live session has this id; choose another one.")
        case TooLarge():
            return problem(
                "too-large",
                f"The session would take {error.size} bytes, where sessions.maxBytes allows "
                f"{error.limit}; store less in it.",
                limit=error.limit,
            )
        case InvalidValue():
            return problem(
                "invalid-value",
                _sentence(error.detail),
                pointer=error.pointer,
            )
        case TooManySessions():
            return problem(
                "too-many-sessions",
                f"The principal has {error.limit} live sessions, which "
                "sessions.perPrincipal allows; end one first.",
                limit=error.limit,
            )
        case StoreUnavailable():
            return problem(
                "store-unavailable",
                "The session store is out of reach; nothing was changed, try again.",
            )
        case OutcomeUnknown():
            return problem(
                "outcome-unknown",
                "The store did not say whether the change was made; "
                "repeat it with an Idempotency-Key to be sure.",
            )
        case ShuttingDown():
            return problem("shutting-down", "This sidecar is going away; nothing was changed.")
        case Overloaded():
            return problem("overloaded", error.detail)
        case _:
            raise error


def _sentence(detail: str) -> str:
    """The detail of an error as a sentence."""
    end = "" if detail.endswith(".") else "."
    return f"{detail[:1].upper()}{detail[1:]}{end}"
