"""The routes about all sessions of a principal."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Final

import msgspec

from moorline_sidecar.domain.attributes import check_principal
from moorline_sidecar.domain.ids import handle_of
from moorline_sidecar.errors import InvalidRequest
from moorline_sidecar.hot import instant
from moorline_sidecar.http.asking import Asking
from moorline_sidecar.http.messages import Response
from moorline_sidecar.http.targets import named_session
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.stores.base import Summary

LIMIT: Final = 100
LIMIT_MAX: Final = 1_000

_FIELDS: Final = b"Content-Type: application/json\r\nCache-Control: no-store\r\n"


class ByPrincipal:
    """Lists and ends; shows handles, never ids."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def answer(self, parameters: Sequence[str], asking: Asking) -> Awaitable[Response]:
        """The answer for a principal, and perhaps one of its handles."""
        principal, *rest = parameters
        check_principal(principal, "")
        if asking.request.method == b"DELETE":
            return self._end(principal, rest[0] if rest else None, asking)
        return self._list(principal, asking)

    async def _list(self, principal: str, asking: Asking) -> Response:
        page = await self._sessions.principals.page(
            principal, asking.query.get("after"), _limit(asking.query.get("limit"))
        )
        shown = [_shown(summary) for summary in page.summaries]
        return _json({"sessions": shown, "next": page.next})

    async def _end(self, principal: str, handle: str | None, asking: Asking) -> Response:
        kept = asking.query.get("except")
        kept_key = None if kept is None else self._sessions.key_of(named_session(kept).session_id)
        ended = await self._sessions.principals.end_all(principal, handle=handle, kept=kept_key)
        return _json({"ended": ended})


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= LIMIT_MAX:
        raise InvalidRequest("malformed-request", f"`limit` is a number from 1 to {LIMIT_MAX}.")
    return int(text[:9])


def _shown(summary: Summary) -> dict[str, Any]:
    return {
        "handle": handle_of(summary.key),
        "created": instant(summary.created).decode(),
        "accessed": instant(summary.accessed).decode(),
        "expires": None if summary.expiry is None else instant(summary.expiry).decode(),
        "lastNode": summary.last_node,
    }


def _json(value: object) -> Response:
    return Response(200, _FIELDS, msgspec.json.encode(value))
