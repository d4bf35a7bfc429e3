"""Sidecars that break one promise each: what the checker is silent about, it must be able to see.

Applied in the sidecar's process before it starts. Each names the rule that has to find it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from moorline_sidecar.domain import merging
from moorline_sidecar.domain.session import Tombstone
from moorline_sidecar.errors import (
    OutcomeUnknown,
    SessionEnded,
    SessionUnknown,
    StoreUnavailable,
)
from moorline_sidecar.http import bodies, by_cookie
from moorline_sidecar.sessions import (
    certainty,
    clock,
    core,
    creating,
    finding,
    housekeeping,
    replaying,
    service,
    writing,
)
from moorline_sidecar.stores import mongodb, mongodb_updates
from moorline_sidecar.stores.base import Change, Outcome, Write
from msgspec import Struct, structs

EARLY_MS: Final = 2_000
SELDOM: Final = 0.03


class Mutation(Struct, frozen=True):
    """What is wrong with the build, and the rule that is broken by it.

    `shows_in_outage`: only what is kept while the store is away shows it, when all is over.
    """

    rule: str
    apply: Callable[[], None]
    shows_in_outage: bool = False


def _put(owner: Any, name: str, value: object) -> None:  # noqa: ANN401 - a module or a class
    """In place of what must be there: a mutation of what is gone would prove nothing."""
    assert hasattr(owner, name), f"{owner} has no {name} any more"
    setattr(owner, name, value)


def _trust_copies() -> None:
    """A copy is served for ever to who has not seen better."""
    _put(finding, "may_serve_copy", lambda _, copy, hint: not hint or copy.version >= hint.version)


def _ignore_hints() -> None:
    """A copy is served to everybody."""
    _put(finding, "may_serve_copy", lambda *_: True)


def _write_without_version() -> None:
    """Who writes last wins, and gives the version that another one has given."""
    right = mongodb_updates._change  # noqa: SLF001 - it is to be broken

    def wrong(change: Change) -> mongodb_updates.Operation:
        guards, update = right(change)
        guards.pop("version")
        guards.pop("writeId", None)
        return guards, update

    _put(mongodb_updates, "_change", wrong)


def _revive() -> None:
    """A late change makes a session of its tombstone."""
    right = mongodb_updates._change  # noqa: SLF001 - it is to be broken

    def wrong(change: Change) -> mongodb_updates.Operation:
        _, update = right(change)
        update["$set"]["valid"] = True
        return {"_id": change.key}, update

    _put(mongodb_updates, "_change", wrong)


def _lose_writes() -> None:
    """Some changes are acknowledged and never sent."""
    right = mongodb.MongoStore.write

    async def wrong(self: mongodb.MongoStore, writes: Sequence[Write]) -> list[Outcome]:
        if random.random() < SELDOM and all(isinstance(write, Change) for write in writes):
            return [Outcome.APPLIED] * len(writes)
        return await right(self, writes)

    _put(mongodb.MongoStore, "write", wrong)


def _deny_writes() -> None:
    """What is perhaps applied is answered as surely not applied."""
    right = certainty.write_surely

    async def wrong(worker: core.Core, write: Write, **how: bool) -> Outcome:
        try:
            outcome = await right(worker, write, **how)
        except OutcomeUnknown as error:
            raise StoreUnavailable from error
        if random.random() < SELDOM:
            raise StoreUnavailable
        return outcome

    _put(writing, "write_surely", wrong)


def _forget_keys() -> None:
    """A repeated change is made again."""
    right = merging.merge

    def wrong(stored: Any, asked: Any, *rest: Any) -> Any:  # noqa: ANN401 - passed on as it is
        return right(stored, [structs.replace(ask, idempotency_key=None) for ask in asked], *rest)

    _put(writing, "merge", wrong)


def _ignore_if_match() -> None:
    right = merging.merge

    def wrong(stored: Any, asked: Any, *rest: Any) -> Any:  # noqa: ANN401 - passed on as it is
        return right(stored, [structs.replace(ask, if_versions=None) for ask in asked], *rest)

    _put(writing, "merge", wrong)


def _expire_early() -> None:
    def wrong(_policy: object, times: Any, _hint: object, now: int) -> bool:  # noqa: ANN401
        return times.own_expiry is not None and times.own_expiry - EARLY_MS <= now

    _put(core, "is_expired", wrong)


def _never_expire() -> None:
    async def never(_: object) -> None:
        await asyncio.Event().wait()

    _put(core, "is_expired", lambda *_: False)
    _put(housekeeping.Housekeeping, "keep_scavenging", never)


def _forget_deadlines() -> None:
    _put(creating, "deadline_of", lambda *_: None)


def _go_by_the_node() -> None:
    """The node's clock in place of the store's."""
    _put(clock.StoreClock, "learn", lambda *_: None)


def _stretch_grace() -> None:
    _put(service, "grace_session", lambda tombstone, _now: tombstone.grace)


def _hand_out_logins() -> None:
    """A read in the grace shows the session as it is now."""

    async def wrong(self: Any, tombstone: Tombstone) -> service.Served:  # noqa: ANN401
        successor = await self._ending.last_successor(tombstone)
        if successor is None or isinstance(successor.record, Tombstone):
            raise SessionEnded(tombstone.reason)
        return service.Served(successor, finding.Source.BYPASS, was_renewed=True)

    _put(service.Sessions, "_in_grace", wrong)


def _adopt_ids() -> None:
    """The id that a browser sends is good enough for a new session."""

    async def wrong(self: Any, claim: Any, asking: Any) -> Any:  # noqa: ANN401 - passed on
        try:
            session_id, served = await self._found(claim)
        except (SessionUnknown, SessionEnded):
            session_id = claim.ids[0]
            asked = asking.asked(bodies.creation(b"{}", asking.context), session_id)
            served, _ = await self._sessions.create(session_id, asked)
        return self._answers.created(served, session_id, asking, self._new(session_id, served))

    _put(by_cookie.ByCookie, "_get_or_create", wrong)


def _lose_sight() -> None:
    """Now and then a live session is taken for one that never was."""
    right = core.Core.load

    async def wrong(self: core.Core, key: str) -> object:
        record = await right(self, key)
        return None if random.random() < SELDOM else record

    _put(core.Core, "load", wrong)


def _stumble() -> None:
    """Now and then a defect answers."""
    right = finding.Finding.held

    def wrong(self: finding.Finding, *asked: Any) -> object:  # noqa: ANN401 - passed on
        if random.random() < SELDOM:
            raise RuntimeError("a defect")
        return right(self, *asked)

    _put(finding.Finding, "held", wrong)


def _forget_kept() -> None:
    """What was kept is given up when it is to be brought to the store."""

    async def wrong(self: replaying.Replaying) -> bool:
        self._give_up(list(self._core.journal.keys))
        return True

    _put(replaying.Replaying, "_replay_some", wrong)


def _forget_ends() -> None:
    """An end that was kept never becomes a tombstone."""

    async def wrong(self: replaying.Replaying) -> None:
        self._core.journal.ends.clear()

    _put(replaying.Replaying, "_write_ends", wrong)


MUTATIONS: Final = {
    "a copy is trusted for ever": Mutation("nothing_is_lost", _trust_copies),
    "ends do not reach copies": Mutation("ends_are_final", _trust_copies),
    "hints are ignored": Mutation("hints_are_honoured", _ignore_hints),
    "writes are not guarded": Mutation("versions_are_of_one_write", _write_without_version),
    "late changes revive": Mutation("ends_are_final", _revive),
    "writes are lost": Mutation("nothing_is_lost", _lose_writes),
    "applied is refused": Mutation("refused_is_never_applied", _deny_writes),
    "keys are forgotten": Mutation("increments_are_exact", _forget_keys),
    "If-Match is ignored": Mutation("guards_hold", _ignore_if_match),
    "idle life is too short": Mutation("idle_expiry_is_never_early", _expire_early),
    "idle life never ends": Mutation("idle_expiry_is_never_later_than_slack", _never_expire),
    "deadlines are forgotten": Mutation("max_age_is_exact", _forget_deadlines),
    "the node's clock counts": Mutation("max_age_is_exact", _go_by_the_node),
    "a grace does not end": Mutation("grace_is_short", _stretch_grace),
    "an old id shows the login": Mutation("logins_stay_with_their_users", _hand_out_logins),
    "foreign ids are adopted": Mutation("logins_stay_with_their_users", _adopt_ids),
    "live sessions are unknown": Mutation("ends_have_reasons", _lose_sight),
    "there is a defect": Mutation("answers_are_known", _stumble),
    "kept changes are given up": Mutation(
        "nothing_buffered_is_lost", _forget_kept, shows_in_outage=True
    ),
    "kept ends are ignored": Mutation("ends_are_final", _forget_ends, shows_in_outage=True),
}
