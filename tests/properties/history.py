"""What applications were told about one session, and what they may be told next.

A session is followed through its renews: all its ids are one history. Every change sets an
attribute of its own or adds one to a counter, so that content tells which changes it holds.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Mapping
from typing import Final

from moorline_api import Staleness
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.policies import Policy, slack
from moorline_sidecar.domain.session import Json, Reason
from moorline_sidecar.sessions.coverage import LIVE_MS
from msgspec import Struct, field

COUNTER: Final = "counter"


class State(enum.Enum):
    """What is known of a change."""

    OPEN = enum.auto()
    """Asked for, or of unknown outcome: it may be seen or not."""
    UNSAVED = enum.auto()
    """Answered as unsaved: seen on its worker, and stored in the end."""
    DURABLE = enum.auto()
    REFUSED = enum.auto()
    """Surely not applied: never seen."""


class Made(Struct):
    """A change: the id it was asked for, the worker that answered, and when.

    `attempts` are the calls that may have made it, or may yet.
    """

    session_id: str
    worker: str
    state: State = State.OPEN
    at: int = 0
    attempts: int = 0

    def begin(self) -> None:
        self.attempts += 1
        if self.state is State.REFUSED:
            self.state = State.OPEN

    def refuse(self) -> None:
        """One call surely did not make it."""
        self.attempts -= 1
        if not self.attempts and self.state is State.OPEN:
            self.state = State.REFUSED

    def answer(self, worker: str, now: int, *, is_stored: bool) -> None:
        if self.state is State.DURABLE:
            return
        self.worker, self.at = worker, now
        self.state = State.DURABLE if is_stored else State.UNSAVED


class Answer(Struct, frozen=True):
    """What a client carries on: the hint, and what the answer had shown."""

    session_id: str
    hint: Hint
    seen: Mapping[str, Json]


class Asked(Struct, frozen=True):
    """A call under way: what it carries, and since when."""

    session_id: str
    worker: str
    at: int
    carried: Answer | None = None

    @property
    def hint(self) -> Hint | None:
        return self.carried.hint if self.carried else None


class History(Struct):
    """One session; times are milliseconds of the cluster's clock."""

    policy: Policy
    is_faulty: bool
    """Whether links fail: then a call may land late, and accesses may stay unwritten."""
    ids: list[str]
    created_from: int
    created_until: int = 0
    changes: dict[str, Made] = field(default_factory=dict)
    counted: dict[str, Made] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    accessed_from: int = 0
    accessed_until: int = 0
    under_way: int = 0
    ends_asked: int = 0
    ended_at: int | None = None
    renewers: set[tuple[str, str]] = field(default_factory=set)
    """The ids for which a renew was asked, each with the worker it was asked of."""
    versions_won: set[tuple[str, int]] = field(default_factory=set)

    def floor(self, before: int) -> tuple[set[str], int]:
        """The attributes that are stored since before then, and what the counter is at least."""
        return (
            {name for name, made in self.changes.items() if _is_stored(made, before)},
            sum(_is_stored(made, before) for made in self.counted.values()),
        )

    def unsaved(self, worker: str | None, before: int) -> set[str]:
        """What is not stored, and yet promised by the worker, or by any.

        What a worker keeps for an id that another one renews is lost. So is what it keeps while
        its own renew has yet to land, or has been forgotten for want of room.
        """
        is_kept = self.policy.cache_sessions > 1 and not self.is_faulty
        return {
            name
            for name, made in self.changes.items()
            if made.state is State.UNSAVED
            and made.worker == (worker or made.worker)
            and made.at < before
            and all(
                is_kept and renewer == made.worker
                for session_id, renewer in self.renewers
                if session_id == made.session_id
            )
        }

    def check_content(self, seen: Mapping[str, Json], asked: Asked) -> None:
        """What every answer with content keeps to."""
        for name in seen:
            if name in self.changes:
                assert self.changes[name].state is not State.REFUSED, f"{name} was refused"
        possible = sum(made.state is not State.REFUSED for made in self.counted.values())
        assert seen.get(COUNTER, 0) <= possible, "an increment was applied twice"
        if asked.carried is not None and asked.carried.session_id == asked.session_id:
            check_at_least(seen, set(asked.carried.seen), asked.carried.seen.get(COUNTER, 0))

    def check_read(
        self, seen: Mapping[str, Json], asked: Asked, *, was_asked: bool, is_degraded: bool
    ) -> None:
        """A read of the live session: `was_asked` the store, or a copy of it."""
        mine = self.unsaved(asked.worker, asked.at)
        check_at_least(seen, mine, 0)
        self.check_in_time(asked)
        if is_degraded and not was_asked:
            return
        age = 0 if was_asked else self._age_max()
        names, count = self.floor(asked.at - age)
        check_at_least(seen, names, count)
        if self.ended_at is not None:
            assert self.ended_at >= asked.at - age, "an ended session was served"

    def _age_max(self) -> int:
        """How old a copy may be that is served without asking."""
        match self.policy.staleness:
            case Staleness.NEVER:
                return sys.maxsize
            case Staleness.PERIODIC:
                return self.policy.stale_period_ms
            case Staleness.PUSHED if not self.is_faulty:
                # The stream lives from the beginning.
                return LIVE_MS
            case _:
                return self.policy.max_trust_ms

    def check_grace(self, seen: Mapping[str, Json], asked: Asked) -> None:
        """A read with an old id: nothing of what was done under later ones."""
        place = self.ids.index(asked.session_id) if asked.session_id in self.ids else 0
        later = set(self.ids[place + 1 :])
        for name, made in self.changes.items():
            assert not (name in seen and made.session_id in later), "an old id shows a new login"
        if self.ended_at is not None:
            assert self.ended_at >= asked.at, "a grace outlived its session"

    def check_in_time(self, asked: Asked) -> None:
        """Nobody is served a session that is over for good."""
        policy = self.policy
        if policy.max_age_ms:
            assert asked.at < self.created_until + policy.max_age_ms, "served after its deadline"
        if self.under_way == 1:
            latest = self.accessed_until + policy.max_idle_ms + slack(policy, policy.max_idle_ms)
            assert asked.at <= latest, "served after its idle life"

    def check_ended(self, reason: Reason, now: int) -> None:
        """A refusal because the session is over."""
        policy = self.policy
        match reason:
            case Reason.LOGOUT:
                assert self.ends_asked, "nobody has ended it"
            case Reason.RENEWED:
                assert self.renewers, "nobody has renewed it"
            case Reason.EXPIRED:
                is_aged = policy.max_age_ms and now >= self.created_from + policy.max_age_ms
                is_idle = now >= self.accessed_from + policy.max_idle_ms
                assert is_aged or is_idle or self.is_faulty, "expired early"
            case _:
                raise AssertionError(f"ended for {reason}")

    def lose_worker(self, worker: str) -> None:
        """A worker is gone, and what it had not saved."""
        for made in self.changes.values():
            if made.state is State.UNSAVED and made.worker == worker:
                made.state = State.OPEN

    def all_saved(self, asked: Asked, now: int) -> None:
        """The worker says that what it answered under this id, before it was asked, is stored."""
        for made in self.changes.values():
            is_meant = (made.session_id, made.worker) == (asked.session_id, asked.worker)
            if made.state is State.UNSAVED and is_meant and made.at < asked.at:
                made.state, made.at = State.DURABLE, now


def check_at_least(seen: Mapping[str, Json], names: set[str], count: int) -> None:
    assert names <= set(seen), f"lost: {names - set(seen)}"
    assert seen.get(COUNTER, 0) >= count, f"lost {count - seen.get(COUNTER, 0)} increments"


def _is_stored(made: Made, before: int) -> bool:
    return made.state is State.DURABLE and made.at < before
