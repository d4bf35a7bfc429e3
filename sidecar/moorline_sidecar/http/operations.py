"""The operations listener: what administrators and dashboards ask of one worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

from moorline_sidecar.errors import InvalidRequest
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.messages import Request, Response
from moorline_sidecar.http.problems import problem
from moorline_sidecar.http.routes import Routes, json_answer, parameters
from moorline_sidecar.purge import PurgeResult

HANDLES: Final = 100
HANDLES_MAX: Final = 1_000
"""In one answer."""


class Stats(Struct, frozen=True, kw_only=True, rename="camel"):
    """One worker since its start or the last reset (Jetty's JMX); times in seconds.

    `last_scavenge` is an instant as sessions show them, None before the first. `spec_hash` is the
    same for the same spec; `restart_needed` holds the paths of what was changed and waits for one.
    """

    sessions_current: int
    sessions_max: int
    sessions_total: int
    sessions_created: int
    session_time_mean: float
    session_time_max: float
    session_time_std_dev: float
    session_time_total: float
    store_count: int | None
    hit_ratio: float
    unsaved: int
    conflicts: int
    last_scavenge: str | None
    cached_bytes: int
    expired: int
    renewed: int
    outages: int
    lost_changes: int
    spec_hash: str
    restart_needed: str


class ScavengeResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one scavenge tidied up."""

    expired: int
    orphans: int = 0
    copies: int = 0
    graces: int = 0


class Worker(Struct, frozen=True, kw_only=True, rename="camel"):
    """A process that serves sessions; `since` and `beat` are instants as sessions show them.

    `process` is another after every start. Of other processes `beat` is when they last told the
    rest; `pid` and `connections` are only known of the one that is asked.
    """

    name: str
    process: str
    pod: str
    pid: int | None = None
    since: str
    beat: str
    version: str
    sessions: int
    connections: int | None = None
    unsaved: int


class Operations(Protocol):
    """What the listener needs of those who keep the sessions.

    Any of it may raise StoreUnavailable or OutcomeUnknown.
    """

    async def stats(self) -> Stats: ...

    def reset_stats(self) -> None: ...

    async def scavenge(self, *, everywhere: bool) -> ScavengeResult:
        """Only the sessions that this worker knows, or all that are over."""

    async def purge(self, *, is_full: bool, is_dry_run: bool) -> PurgeResult | None:
        """What `moorline-sidecar purge` tells, bounded in time; None while one is under way."""

    async def cache_handles(self, after: str, limit: int) -> Sequence[str]:
        """Up to `limit` handles in the L1 above `after`, in order."""

    async def evict(self, handle: str) -> bool:
        """Save what is unsaved, then drop it from the L1; false if it is not there."""

    async def workers(self) -> Sequence[Worker]:
        """This process, then the others that are alive as far as the store tells."""


def operations_application(operations: Operations, gate: Gate) -> Routes:
    """Every route of the listener, behind the gate."""
    answers = _Answers(operations)
    return Routes(
        {
            "GET /v1/stats": answers.stats,
            "POST /v1/stats/reset": answers.reset,
            "POST /v1/scavenge": answers.scavenge,
            "POST /v1/purge": answers.purge,
            "GET /v1/cache": answers.cache,
            "DELETE /v1/cache/*": answers.evict,
            "GET /v1/workers": answers.workers,
        },
        gate,
    )


class _Answers:
    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def stats(self, request: Request, _: str) -> Response:
        parameters(request)
        return json_answer(await self._operations.stats())

    async def reset(self, request: Request, _: str) -> Response:
        parameters(request)
        self._operations.reset_stats()
        return Response(204)

    async def scavenge(self, request: Request, _: str) -> Response:
        scope = parameters(request, "scope").get("scope", "all")
        if scope not in {"node", "all"}:
            raise InvalidRequest("malformed-request", "scope is node or all.")
        return json_answer(await self._operations.scavenge(everywhere=scope == "all"))

    async def purge(self, request: Request, _: str) -> Response:
        query = parameters(request, "full", "dryRun")
        result = await self._operations.purge(
            is_full=_flag(query, "full"), is_dry_run=_flag(query, "dryRun")
        )
        if result is None:
            return problem("overloaded", "A purge is under way; wait for its end.")
        return json_answer(result)

    async def cache(self, request: Request, _: str) -> Response:
        query = parameters(request, "after", "limit")
        limit = _limit(query)
        handles = list(await self._operations.cache_handles(query.get("after", ""), limit + 1))
        is_more = len(handles) > limit
        page = handles[:limit]
        return json_answer({"handles": page, "next": page[-1] if is_more else None})

    async def evict(self, request: Request, handle: str) -> Response:
        parameters(request)
        if await self._operations.evict(handle):
            return Response(204)
        return problem("session-unknown", "No session in this cache has that handle.")

    async def workers(self, request: Request, _: str) -> Response:
        parameters(request)
        return json_answer({"workers": await self._operations.workers()})


def _flag(query: Mapping[str, str], name: str) -> bool:
    text = query.get(name, "false")
    if text not in {"true", "false"}:
        raise InvalidRequest("malformed-request", f"{name} is true or false.")
    return text == "true"


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(HANDLES))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < len("10000") else 0
    if not 1 <= limit <= HANDLES_MAX:
        raise InvalidRequest("malformed-request", f"limit is a number from 1 to {HANDLES_MAX}.")
    return limit
