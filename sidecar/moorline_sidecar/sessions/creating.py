"""New sessions: durable before they are answered, or not stored at all until their first change."""

from __future__ import annotations

import asyncio
from typing import Final

from msgspec import UNSET, Struct, structs

from moorline_sidecar.cache.entry import Entry, times_of
from moorline_sidecar.domain.changes import Patch, patched
from moorline_sidecar.domain.policies import deadline_of, expiry_of
from moorline_sidecar.domain.session import Session, Tombstone
from moorline_sidecar.errors import AlreadyExists, SessionEnded, SessionExists, SessionUnknown
from moorline_sidecar.sessions.certainty import insert_surely
from moorline_sidecar.sessions.core import Core
from moorline_sidecar.sessions.ending import Ending, new_write_id
from moorline_sidecar.sessions.finding import Finding
from moorline_sidecar.sessions.principals import Principals

UNBORN_MS: Final = 600_000
"""How long a session that was never changed is remembered, if its `maxIdle` is not shorter."""

REPEAT_MS: Final = 60_000
"""How long a create is remembered under its idempotency key."""

REPEATS_MAX: Final = 10_000
"""Creates remembered at once; the oldest goes first."""


class Repeat(Struct):
    """A create under an idempotency key: its id once it is done."""

    until: int
    session_id: asyncio.Future[str]


class Creating:
    """Makes sessions."""

    def __init__(
        self, core: Core, finding: Finding, ending: Ending, principals: Principals
    ) -> None:
        self._core = core
        self._finding = finding
        self._ending = ending
        self._principals = principals
        self._unborn: dict[str, Entry] = {}
        self._repeats: dict[tuple[str, str], Repeat] = {}

    async def create(self, key: str, patch: Patch) -> Entry:
        """A new session under `key`, with what the patch sets.

        Raises:
            SessionExists, SessionEnded: the key is taken.
            Refusal: the content is not accepted.
        """
        entry = self._core.l1.peek(key)
        if entry is not None and isinstance(entry.record, Tombstone):
            # The purge may have removed it from the store: a dead id is not used again.
            raise SessionEnded(entry.record.reason)
        session = self._session(key, patch)
        if self._core.policy.saves_on_create or _is_change(patch):
            return await self._insert(session)
        if key in self._unborn:
            raise SessionExists
        return self._remember(session)

    def unborn(self, key: str) -> Entry | None:
        """The entry of a session that waits for its first change."""
        entry = self._unborn.get(key)
        if entry is None:
            return None
        now = self._core.clock.monotonic()
        session = entry.stored
        assert isinstance(session, Session)  # noqa: S101 nothing else is put there
        life = min(session.max_idle_ms or UNBORN_MS, UNBORN_MS)
        if entry.used_at + life <= now:
            del self._unborn[key]
            return None
        return entry

    def forget(self, key: str) -> bool:
        """Forget an unborn session; whether there was one."""
        return self._unborn.pop(key, None) is not None

    async def bear(self, key: str, patch: Patch) -> Entry:
        """Store an unborn session with its first change.

        Raises:
            SessionUnknown: it is gone.
            Refusal: the change was refused; the session stays unborn.
        """
        entry = self.unborn(key)
        if entry is None or not isinstance(entry.stored, Session):
            raise SessionUnknown
        content = patched(entry.stored, patch, self._core.policy.max_session_bytes)
        now = self._core.clock.now()
        session = structs.replace(
            content,
            version=1,
            accessed=now,
            last_saved=now,
            expiry=expiry_of(now, content.max_idle_ms, content.deadline),
        )
        stored = await self._insert(session)
        self._unborn.pop(key, None)
        return stored

    def repeat_of(self, idempotency_key: str, context: str) -> Repeat | None:
        """The create that was made under this key and context within a minute, done or not."""
        repeat = self._repeats.get((idempotency_key, context))
        if repeat is None or repeat.until <= self._core.clock.monotonic():
            return None
        return repeat

    def remember_repeat(self, idempotency_key: str, context: str) -> Repeat:
        """A place for the id of a create that begins now."""
        now = self._core.clock.monotonic()
        while self._repeats and (
            len(self._repeats) >= REPEATS_MAX or next(iter(self._repeats.values())).until <= now
        ):
            del self._repeats[next(iter(self._repeats))]
        repeat = Repeat(now + REPEAT_MS, asyncio.get_running_loop().create_future())
        self._repeats.pop((idempotency_key, context), None)
        self._repeats[idempotency_key, context] = repeat
        return repeat

    def forget_repeat(self, idempotency_key: str, context: str) -> None:
        """The create did not happen: the next call makes it."""
        self._repeats.pop((idempotency_key, context), None)

    def _session(self, key: str, patch: Patch) -> Session:
        policy = self._core.policy
        now = self._core.clock.now()
        max_idle_ms = policy.max_idle_ms if patch.max_idle_ms is UNSET else patch.max_idle_ms
        deadline = deadline_of(policy, now)
        session = Session(
            key=key,
            version=1,
            created=now,
            accessed=now,
            last_accessed=now,
            max_idle_ms=max_idle_ms,
            expiry=expiry_of(now, max_idle_ms, deadline),
            deadline=deadline,
            last_node=policy.worker,
            last_saved=now,
            cookie_set=now,
            write_id=new_write_id(),
            contexts={patch.context: {}},
        )
        return patched(session, patch, policy.max_session_bytes)

    async def _insert(self, session: Session) -> Entry:
        core = self._core
        await self._principals.refuse_above_limit(session.principal, key=session.key)
        asked_at = core.clock.monotonic()
        try:
            await insert_surely(core, session)
        except AlreadyExists:
            await self._refuse_taken(session.key)
        core.counters.created += 1
        self._finding.appeared(session.key)
        entry = core.learn(session, asked_at)
        await self._principals.end_oldest_above_limit(session.principal, key=session.key)
        return entry

    async def _refuse_taken(self, key: str) -> None:
        entry = await self._finding.fetch(key)
        if isinstance(entry.record, Session) and self._core.is_over(entry, None):
            entry = await self._ending.expire(entry, None)
        if isinstance(entry.record, Tombstone):
            raise SessionEnded(entry.record.reason)
        raise SessionExists

    def _remember(self, session: Session) -> Entry:
        while len(self._unborn) >= self._core.policy.cache_sessions:
            del self._unborn[next(iter(self._unborn))]
        entry = Entry(
            structs.replace(session, version=0),
            times_of(session),
            self._core.clock.monotonic(),
        )
        self._unborn[session.key] = entry
        return entry


def _is_change(patch: Patch) -> bool:
    """Whether a create brings more than a life span."""
    return patch.attributes_change or patch.principal not in (UNSET, None)
