"""Made-up stories, for tests of the checker."""

from __future__ import annotations

from moorline_api import Staleness
from msgspec import structs

from tests.faults.history import Call, Kind, Seen, Story
from tests.faults.terms import Terms

TERMS = Terms(
    staleness=Staleness.BOUNCED,
    max_trust_ms=4_000,
    max_age_ms=60_000,
    touch_ms=500,
    grace_ms=3_000,
    clock_ms=250,
)
PUSHED = structs.replace(TERMS, staleness=Staleness.PUSHED)
IDLE_MS = 6_000


def call(kind: Kind, sent: int, status: int = 200, **facts: object) -> Call:
    """A call to node1 that took 10 ms, about the first id."""
    usual: dict[str, object] = {"place": 0, "worker": "node1", "life": 1, "received": sent + 10}
    return Call(kind=kind, sent=sent, status=status, **{**usual, **facts})  # type: ignore[arg-type] # facts by name


def seen(*names: str, count: int = 0, principal: str | None = None, place: int = 0) -> Seen:
    return Seen(frozenset(names), count, principal, place)


def read(sent: int, version: int, *names: str, **facts: object) -> Call:
    usual: dict[str, object] = {"version": version, "seen": seen(*names), "source": "revalidated"}
    return call(Kind.READ, sent, **{**usual, **facts})  # type: ignore[arg-type] # facts by name


def hit(sent: int, version: int, *names: str, **facts: object) -> Call:
    """A copy, served to who carries its worker's hint."""
    usual: dict[str, object] = {"source": "hit", "carried": 1, "carried_worker": "node1"}
    return read(sent, version, *names, **{**usual, **facts})


def change(sent: int, version: int, name: str, **facts: object) -> Call:
    return call(Kind.CHANGE, sent, 204, **{"version": version, "name": name, **facts})


def increment(sent: int, status: int, name: str, **facts: object) -> Call:
    return call(Kind.INCREMENT, sent, status, **{"name": name, **facts})


def login(sent: int, version: int, name: str = "id2", **facts: object) -> Call:
    shown = seen(name, principal="ada", place=1)
    return call(Kind.RENEW, sent, **{"version": version, "name": name, "seen": shown, **facts})  # type: ignore[arg-type] # facts by name


def logout(sent: int, **facts: object) -> Call:
    return call(Kind.END, sent, 204, **facts)


def over(sent: int, reason: str, **facts: object) -> Call:
    return call(Kind.READ, sent, 410, reason=reason, **facts)


def story(*calls: Call) -> Story:
    """What follows a create at 0."""
    created = call(Kind.CREATE, 0, 201, version=1, seen=seen())
    return Story(1, IDLE_MS, [created, *calls])
