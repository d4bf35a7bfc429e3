"""What simulated users asked and were told, when, and what was done to the cluster meanwhile.

All times are milliseconds of one monotonic clock, that of the program that plays the users.
"""

from __future__ import annotations

import enum

from msgspec import Struct, field


class Kind(enum.Enum):
    """What a call asked for."""

    CREATE = "create"
    READ = "read"
    PEEK = "peek"
    """A read that is no access."""
    TOUCH = "touch"
    CHANGE = "change"
    """Sets an attribute that no other call sets."""
    INCREMENT = "increment"
    """The same, and adds one to the counter, under an idempotency key: may come several times."""
    GUARDED = "guarded"
    """A change with If-Match."""
    RENEW = "renew"
    """A login: a new id, a principal, and an attribute of its own."""
    END = "end"
    """A logout."""
    ADOPT = "adopt"
    """Get or create, with an id that may be over or was never given out."""


class Seen(Struct, frozen=True):
    """The content of an answer; `place` is that of the id it shows, -1 for a foreign one."""

    names: frozenset[str]
    count: int
    principal: str | None
    place: int


class Call(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request and its answer.

    `place` is that of the id it named among the ids that the session had one after the other.
    `life` counts the processes that have been this worker. `status` 0 is no answer: it may take
    effect later. `carried` is the version of the hint that came with it, 0 for none.
    """

    kind: Kind
    place: int
    worker: str
    life: int
    sent: int
    received: int
    status: int
    name: str = ""
    guard: int = 0
    carried: int = 0
    carried_worker: str = ""
    version: int = 0
    source: str = ""
    reason: str = ""
    seen: Seen | None = None
    is_degraded: bool = False
    is_renewed: bool = False
    is_unsaved: bool = False
    is_final: bool = False
    """Made after everything was healed, when nothing waits to be saved."""
    tells_when: bool = False
    """Whether a refusal says when to come again."""

    @property
    def by(self) -> tuple[str, int]:
        """The very process that answered."""
        return self.worker, self.life

    @property
    def is_done(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_open(self) -> bool:
        """Perhaps applied."""
        return self.status in {0, 504}

    @property
    def is_served(self) -> bool:
        """Whether the session was there for it: neither at its end nor another one instead."""
        is_other = self.kind is Kind.END or (self.kind is Kind.ADOPT and self.status == 201)
        return self.is_done and not is_other

    @property
    def is_access(self) -> bool:
        """Whether it moves the end of the session's idle life."""
        return self.is_served and self.kind is not Kind.PEEK and not self.is_renewed

    def __str__(self) -> str:
        """The facts that are not as usual."""
        usual = Call.__struct_defaults__
        names = self.__struct_fields__
        facts = dict(zip(names[-len(usual) :], usual, strict=True))
        told = [
            f"{name}={getattr(self, name)}"
            for name in names
            if name not in facts or getattr(self, name) != facts[name]
        ]
        return f"<{self.kind.value}: {', '.join(told[1:])}>"


class Story(Struct):
    """One session, from an acknowledged create on, through its renews."""

    number: int
    max_idle_ms: int
    calls: list[Call] = field(default_factory=list)


class Disturbance(Struct, frozen=True):
    """Something that was done to one worker, or to all (""), or a stall of the observer."""

    kind: str
    worker: str
    began: int
    ended: int
