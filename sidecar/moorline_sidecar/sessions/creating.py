"""New sessions: durable before they are answered, or not stored at all until their first change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from msgspec import UNSET, Struct, structs

from moorline_sidecar.cache.entry import Entry, times_of
from moorline_sidecar.domain.changes import Patch, patched
from moorline_sidecar.domain.content import content_of
from moorline_sidecar.domain.merging import Asked, merge
from moorline_sidecar.domain.policies import deadline_of, expiry_of, move_times
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.errors import (
    AlreadyExists,
    OutcomeUnknown,
    Overloaded,
    Refusal,
    SessionExists,
    SessionUnknown,
    StoreRefused,
    StoreUnavailable,
    VersionConflict,
)
from moorline_sidecar.sessions.certainty import insert_surely
from moorline_sidecar.sessions.core import Core, live_session, served_session
from moorline_sidecar.sessions.ending import Ending, new_write_id
from moorline_sidecar.sessions.finding import Finding
from moorline_sidecar.sessions.principals import Principals

UNBORN_MS: Final = 600_000
"""How long a session that was never changed is remembered, if its `maxIdle` is not shorter."""

REPEAT_MS: Final = 60_000
"""How long a create is remembered under its idempotency key."""

REPEATS_MAX: Final = 10_000
"""Creates remembered at once; the oldest goes first."""


Keep: TypeAlias = Callable[[Session], Awaitable[Entry]]
"""Keeps a session that the store does not have, or nobody knows, until it is in reach."""


class Repeat(Struct):
    """A create under an idempotency key; perhaps of unknown outcome, until it `is_done`."""

    place: tuple[str, str]
    until: int
    session_id: str
    is_done: bool = False
    is_in_doubt: bool = False


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
        self._doubtful: dict[str, set[str]] = {}
        """By unborn session, the keys it may be stored under: the answer to a try was lost."""
        self._renewed: dict[str, str] = {}
        """Keys of unborn sessions that got another one, the newest last."""
        self._repeats: dict[tuple[str, str], Repeat] = {}

    async def create(self, key: str, patch: Patch, keep: Keep | None = None) -> Entry:
        """A new session under `key`, with what the patch sets; where the store is away, a kept one.

        Raises:
            SessionExists, SessionEnded: the key is taken.
            Refusal: the content is not accepted.
        """
        if self.unborn(key) is not None:
            raise SessionExists
        entry = self._core.l1.peek(key)
        if entry is not None:
            # The store may know nothing of its end (any more): a dead id is not used again.
            live_session(entry)
        session = self._session(key, patch)
        if self.is_stored_at_once(patch):
            return await self._insert(session, keep)
        return self._remember(session)

    def is_stored_at_once(self, patch: Patch) -> bool:
        """Whether a create with this patch goes to the store."""
        return self._core.policy.saves_on_create or _is_change(patch)

    def unborn(self, key: str) -> Entry | None:
        """The entry of a session that waits for its first change."""
        entry = self._unborn.get(key)
        if entry is None:
            return None
        clock, times = self._core.clock, entry.times
        is_over = times.own_expiry is not None and times.own_expiry <= clock.now()
        if not is_over and times.used_at + UNBORN_MS > clock.monotonic():
            return entry
        if key in self._doubtful.get(key, ()):
            self.forget(key)
        else:
            self._bury(entry, Reason.EXPIRED)
        return None

    def access(self, entry: Entry) -> None:
        """Count an access to an unborn session; nothing of it is ever written."""
        clock = self._core.clock
        move_times(entry.times, clock.now())
        entry.times.used_at = clock.monotonic()

    def forget(self, key: str) -> bool:
        """Forget an unborn session; whether there was one."""
        self._doubtful.pop(key, None)
        return self._unborn.pop(key, None) is not None

    async def end(self, key: str, reason: Reason) -> bool:
        """End an unborn session; false if there is none, or the store has it."""
        if await self.has_been_stored(key):
            return False
        entry = self.unborn(key)
        if entry is not None:
            self._bury(entry, reason)
        return entry is not None

    def _bury(self, entry: Entry, reason: Reason, renewed_to: str | None = None) -> None:
        """Hold the end of a session that the store knows nothing of, as version 0."""
        self.forget(entry.key)
        core, session = self._core, served_session(entry)
        now, grace_ms = core.clock.now(), core.policy.renew_grace_ms
        has_grace = renewed_to is not None and grace_ms
        core.bury(
            Tombstone(
                key=entry.key,
                version=0,
                created=entry.stored.created,
                accessed=entry.times.own_accessed,
                invalidated=now,
                reason=reason,
                renewed_to=renewed_to,
                grace_until=now + grace_ms if has_grace else None,
                grace=session if has_grace else None,
            )
        )

    async def renew(self, key: str, new_key: str, asked: Asked) -> Entry:
        """An unborn session under a new key, stored if there is a change.

        Raises:
            As `bear`.
        """
        entry = self.unborn(key)
        if entry is None or not isinstance(entry.stored, Session):
            raise SessionUnknown
        is_known = self.unborn(new_key) is not None or self._core.l1.peek(new_key) is not None
        if is_known and new_key not in self._doubtful.get(key, ()):
            raise SessionExists
        if asked.patch.is_empty:
            self.access(entry)
            session = served_session(entry) or entry.stored
            renewed = self._remember(structs.replace(session, key=new_key))
        else:
            renewed = await self._bear_renewed(key, asked, new_key)
        self._bury(entry, Reason.RENEWED, new_key)
        if len(self._renewed) >= REPEATS_MAX:
            del self._renewed[next(iter(self._renewed))]
        self._renewed.pop(new_key, None)
        self._renewed[key] = new_key
        return renewed

    def newest(self, key: str) -> str:
        """The key of what an unborn session was renewed to while it was unborn."""
        while key in self._renewed:
            key = self._renewed[key]
        return key

    def was_renewed(self, key: str, new_key: str) -> bool:
        """Whether an unborn session was renewed just so."""
        return self._renewed.get(key) == new_key

    async def _bear_renewed(self, key: str, asked: Asked, new_key: str) -> Entry:
        try:
            return await self.bear(key, asked, new_key)
        except SessionExists:
            if new_key not in self._doubtful.get(key, ()):
                raise
            return await self._finding.fetch(new_key)

    async def bear(self, key: str, asked: Asked, new_key: str | None = None) -> Entry:
        """Store an unborn session with its first change, which counts as its creation.

        Raises:
            SessionUnknown: it is gone.
            SessionExists: an earlier try has stored it, though nobody knew.
            Refusal: the change was refused; the session stays unborn.
        """
        entry = self.unborn(key)
        if entry is None or not isinstance(entry.stored, Session):
            raise SessionUnknown
        merged = merge(entry.stored, [asked], self._core.policy.max_session_bytes)
        for verdict in merged.verdicts:
            if isinstance(verdict, VersionConflict):
                raise VersionConflict(entry)
            if isinstance(verdict, Refusal):
                raise verdict
        content = structs.replace(merged.content, key=new_key or key)
        try:
            stored = await self._insert(self._beginning(content))
        except OutcomeUnknown:
            self._doubtful.setdefault(key, set()).add(content.key)
            raise
        self.forget(key)
        return stored

    async def has_been_stored(self, key: str) -> bool:
        """Whether an unborn session turns out to be in the store; it is forgotten here then."""
        if key not in self._doubtful.get(key, ()):
            return False
        try:
            await self._finding.fetch(key)
        except SessionUnknown:
            return False
        return self.forget(key)

    def repeat_of(self, idempotency_key: str, context: str, session_id: str) -> Repeat:
        """The create under this key and context: one within the last minute, or a new one."""
        now = self._core.clock.monotonic()
        place = (idempotency_key, context)
        known = self._repeats.get(place)
        if known is not None and known.until > now:
            return known
        while self._repeats and (
            len(self._repeats) >= REPEATS_MAX or next(iter(self._repeats.values())).until <= now
        ):
            del self._repeats[next(iter(self._repeats))]
        self._repeats.pop(place, None)
        repeat = self._repeats[place] = Repeat(place, now + REPEAT_MS, session_id)
        return repeat

    def forget_repeat(self, repeat: Repeat) -> None:
        """The create surely did not happen: the next call makes it."""
        if self._repeats.get(repeat.place) is repeat:
            del self._repeats[repeat.place]

    def _session(self, key: str, patch: Patch) -> Session:
        policy = self._core.policy
        max_idle_ms = policy.max_idle_ms if patch.max_idle_ms is UNSET else patch.max_idle_ms
        session = Session(
            key=key,
            version=1,
            created=0,
            accessed=0,
            last_accessed=0,
            max_idle_ms=max_idle_ms,
            expiry=None,
            last_node=policy.worker,
            last_saved=0,
            cookie_set=0,
            contexts=content_of({patch.context: {}}),
        )
        return self._beginning(patched(session, patch, policy.max_session_bytes))

    def _beginning(self, session: Session) -> Session:
        """The session as one that begins now."""
        now = self._core.clock.now()
        deadline = deadline_of(self._core.policy, now)
        return structs.replace(
            session,
            version=1,
            write_id=new_write_id(),
            created=now,
            accessed=now,
            last_accessed=now,
            last_saved=now,
            cookie_set=now,
            deadline=deadline,
            expiry=expiry_of(now, session.max_idle_ms, deadline),
        )

    async def _insert(self, session: Session, keep: Keep | None = None) -> Entry:
        core, policy = self._core, self._core.policy
        await self._principals.refuse_above_limit(policy, session.principal, {session.key})
        asked_at = core.clock.monotonic()
        try:
            await insert_surely(core, session, may_stay_unknown=keep is not None)
        except AlreadyExists:
            await self._refuse_taken(session.key)
        except (StoreUnavailable, OutcomeUnknown) as error:
            if keep is None or isinstance(error, StoreRefused):
                raise
            try:
                return await keep(session)
            except Overloaded:
                if isinstance(error, OutcomeUnknown):
                    raise error from None
                raise
        core.counters.created += 1
        self._finding.appeared(session.key)
        entry = core.learn(session, asked_at)
        await self._principals.end_oldest_above_limit(policy, entry)
        return entry

    async def _refuse_taken(self, key: str) -> None:
        entry = await self._finding.fetch(key)
        if isinstance(entry.record, Session) and self._core.is_over(entry, None):
            entry = await self._ending.expire(entry, None)
        live_session(entry)
        raise SessionExists

    def _remember(self, session: Session) -> Entry:
        while len(self._unborn) >= self._core.policy.cache_sessions:
            self.forget(next(iter(self._unborn)))
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
