"""The sessions of one principal: listed, ended, limited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Final

import structlog
from moorline_api import WhenReached
from msgspec import Struct

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.ids import handle_of
from moorline_sidecar.domain.policies import Policy, deadline_of, slack
from moorline_sidecar.domain.session import Reason, Session
from moorline_sidecar.errors import SessionUnknown, StoreError, TooManySessions
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.ending import Ending
from moorline_sidecar.sessions.finding import Finding
from moorline_sidecar.sessions.lanes import Lanes
from moorline_sidecar.sessions.writing import Job
from moorline_sidecar.stores.base import Summary

PAGE: Final = 200
"""Summaries in one query."""

log = structlog.get_logger(__name__)


class Page(Struct, frozen=True):
    """Summaries, and the handle after which the next page starts; None where it is the last."""

    summaries: list[Summary]
    next: str | None


class Principals:
    """Asks the store: the principal is kept in the session, so the index cannot outlive it."""

    def __init__(self, core: Core, lanes: Lanes[Job], finding: Finding, ending: Ending) -> None:
        self._core = core
        self._lanes = lanes
        self._finding = finding
        self._ending = ending

    async def page(self, principal: str, after: str | None, limit: int) -> Page:
        """Up to `limit` live sessions behind the one whose handle is `after`."""
        # By handle, so that a page begins behind a session that has ended meanwhile, too.
        shown = [
            (handle_of(summary.key), summary)
            async for summary in self._all(principal)
            if self._lives(summary)
        ]
        behind = sorted(pair for pair in shown if after is None or pair[0] > after)
        found = behind[:limit]
        is_last = len(behind) <= limit
        return Page([summary for _, summary in found], None if is_last else found[-1][0])

    async def end_all(self, principal: str, *, handle: str | None, kept: str | None) -> int:
        """End the principal's sessions that began before this call; how many this call ended.

        With `handle` only that one. `kept` is the key of a session that stays, under whatever id it
        is renewed to meanwhile.
        """
        began = self._core.clock.now()
        ended = 0
        seen: set[str] = set()
        while True:
            found = [
                summary.key
                async for summary in self._all(principal)
                if summary.created <= began
                and summary.key not in seen
                and (handle is None or handle_of(summary.key) == handle)
            ]
            if not found:
                return ended
            # Asked after the listing: what it was renewed to meanwhile is known now.
            spared = await self._with_successors(kept)
            for key in found:
                if key in spared:
                    continue
                ended += await self._end(key, Reason.ADMIN)
            seen.update(found)

    async def refuse_above_limit(
        self, policy: Policy, principal: str | None, own: Collection[str]
    ) -> None:
        """Refuse another session of the principal, beside those with `own` keys.

        A request goes by one `policy`, also if another one comes before `end_oldest_above_limit`.

        Raises:
            TooManySessions: `perPrincipal.max` others live already.
        """
        if (
            not principal
            or not policy.principal_max
            or policy.when_reached is not WhenReached.REFUSE
        ):
            return
        others = 0
        async for summary in self._all(principal):
            others += summary.key not in own and self._lives(summary)
            if others >= policy.principal_max:
                raise TooManySessions(policy.principal_max)

    async def end_oldest_above_limit(self, policy: Policy, entry: Entry) -> None:
        """End what the principal of a session that has just begun has above the limit.

        Those unused for longest go first, and none that was used after this one began: of two
        logins at once each would end the other. A store that cannot be asked leaves one too many.
        """
        session = entry.record
        if (
            not isinstance(session, Session)
            or not session.principal
            or not policy.principal_max
            or policy.when_reached is not WhenReached.END_OLDEST
        ):
            return
        began = (entry.times.own_accessed, entry.key)
        try:
            others = [
                (summary.accessed, summary.key)
                async for summary in self._all(session.principal)
                if summary.key != entry.key and self._lives(summary)
            ]
            surplus = max(0, len(others) - (policy.principal_max - 1))
            for accessed, key in sorted(others)[:surplus]:
                # Called with the lane of the new session held: this strict order of times and keys
                # is also why two such calls cannot wait for each other.
                if (accessed, key) < began:
                    await self._end(key, Reason.LIMIT)
        except StoreError as error:
            log.warning("the limit of sessions per principal was not kept", why=str(error))

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
                if summary.renew_of is None or await self._has_happened(summary):
                    yield summary
            if len(page) < PAGE:
                return
            after = page[-1].key

    async def _has_happened(self, summary: Summary) -> bool:
        """Whether the renew that made this copy has happened, though nobody has settled it."""
        try:
            await self._finding.fetch(summary.key)
        except SessionUnknown:
            return False
        return True

    async def _end(self, key: str, reason: Reason) -> bool:
        async with self._lanes.hold(key):
            try:
                return (await self._ending.end(key, reason)).is_by_this_call
            except SessionUnknown:
                return False

    async def _with_successors(self, key: str | None) -> set[str]:
        return set() if key is None else await self._ending.chain(key)

    def _lives(self, summary: Summary) -> bool:
        """Whether it may still be alive: others may hold accesses that are not stored yet.

        Of what it accessed last itself, this worker knows.
        """
        core = self._core
        now = core.clock.now()
        if summary.expiry is None or summary.expiry > now:
            return True
        entry = core.l1.peek(summary.key)
        is_newest = entry is not None and entry.times.own_accessed >= summary.accessed
        if entry is not None and is_newest and summary.last_node == core.policy.worker:
            return not core.is_over(entry, None)
        deadline = deadline_of(core.policy, summary.created)
        if deadline is not None and deadline <= now:
            return False
        if core.availability.is_quiet:
            return True
        # Where a deadline has cut it short, no access that is not stored yet makes it longer.
        max_idle_ms = max(1, summary.expiry - summary.accessed)
        return summary.expiry >= now - slack(core.policy, max_idle_ms)
