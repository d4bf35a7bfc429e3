"""The sessions of one principal: listed, ended, limited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from moorline_api import WhenReached
from msgspec import Struct

from moorline_sidecar.domain.ids import handle_of
from moorline_sidecar.domain.policies import slack
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import SessionUnknown, TooManySessions
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.ending import Ending
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.sessions.writing import Job
from moorline_sidecar.stores.base import Summary

PAGE: Final = 200
"""Summaries in one query."""


class Page(Struct, frozen=True):
    """Summaries, and the handle after which the next page starts; None where it is the last."""

    summaries: list[Summary]
    next: str | None


class Principals:
    """Asks the store: the principal is kept in the session, so the index cannot outlive it."""

    def __init__(self, core: Core, lanes: Lanes[Job], ending: Ending) -> None:
        self._core = core
        self._lanes = lanes
        self._ending = ending

    async def page(self, principal: str, after: str | None, limit: int) -> Page:
        """Up to `limit` live sessions behind the one whose handle is `after`."""
        found: list[Summary] = []
        is_behind = after is None
        async for summary in self._all(principal):
            if is_behind and self._lives(summary):
                found.append(summary)
            elif handle_of(summary.key) == after:
                is_behind = True
            if len(found) > limit:
                break
        is_last = len(found) <= limit
        found = found[:limit]
        return Page(found, None if is_last or not found else handle_of(found[-1].key))

    async def end_all(self, principal: str, *, handle: str | None, kept: str | None) -> int:
        """End the principal's sessions that began before this call; how many this call ended.

        With `handle` only that one. `kept` is the key of a session that stays, under whatever id it
        is renewed to meanwhile.
        """
        began = self._core.clock.now()
        ended = 0
        seen: set[str] = set()
        while True:
            spared = await self._with_successors(kept)
            found = [
                summary.key
                async for summary in self._all(principal)
                if summary.created <= began
                and summary.key not in spared
                and summary.key not in seen
                and (handle is None or handle_of(summary.key) == handle)
            ]
            if not found:
                return ended
            for key in found:
                ended += await self._end(key, Reason.ADMIN)
            seen.update(found)

    async def refuse_above_limit(self, principal: str | None, *, key: str) -> None:
        """Refuse another session of the principal, where that is the policy.

        Raises:
            TooManySessions: `perPrincipal.max` others live already.
        """
        policy = self._core.policy
        if (
            not principal
            or not policy.principal_max
            or policy.when_reached is not WhenReached.REFUSE
        ):
            return
        others = 0
        async for summary in self._all(principal):
            others += summary.key != key and self._lives(summary)
            if others >= policy.principal_max:
                raise TooManySessions(policy.principal_max)

    async def end_oldest_above_limit(self, principal: str | None, *, key: str) -> None:
        """End the principal's longest unused sessions above the limit, never the one of `key`."""
        policy = self._core.policy
        if (
            not principal
            or not policy.principal_max
            or policy.when_reached is not WhenReached.END_OLDEST
        ):
            return
        others = [
            summary
            async for summary in self._all(principal)
            if summary.key != key and self._lives(summary)
        ]
        surplus = len(others) - (policy.principal_max - 1)
        for summary in sorted(others, key=lambda each: (each.accessed, each.key))[
            : max(0, surplus)
        ]:
            await self._end(summary.key, Reason.LIMIT)

    async def _all(self, principal: str) -> AsyncIterator[Summary]:
        store = self._core.store
        after: str | None = None
        while True:
            start = after
            page = await self._core.availability.ask(
                "by_principal",
                lambda: store.by_principal(principal, start, PAGE),  # noqa: B023 awaited at once
            )
            for summary in page:
                yield summary
            if len(page) < PAGE:
                return
            after = page[-1].key

    async def _end(self, key: str, reason: Reason) -> bool:
        async with self._lanes.hold(key):
            try:
                return (await self._ending.end(key, reason)).is_by_this_call
            except SessionUnknown:
                return False

    async def _with_successors(self, key: str | None) -> set[str]:
        return set() if key is None else await self._ending.chain(key)

    def _lives(self, summary: Summary) -> bool:
        """Whether it may still be alive: accesses of the last touch period are not stored yet."""
        if summary.expiry is None:
            return True
        policy = self._core.policy
        return summary.expiry > self._core.clock.now() - slack(policy, 0)
