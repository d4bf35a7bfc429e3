"""The checker finds what it is there for: a story for every way to break a rule."""

from __future__ import annotations

import pytest
from msgspec import structs

from tests.faults.history import Disturbance, Kind, Story
from tests.faults.rules import RULES, violations
from tests.faults.stories import (
    IDLE_MS,
    PUSHED,
    TERMS,
    call,
    change,
    hit,
    increment,
    login,
    logout,
    over,
    read,
    seen,
    story,
)
from tests.faults.terms import Terms

BROKEN: dict[str, tuple[str, Terms, Story]] = {
    "an answer that is not in the API": (
        "answers_are_known",
        TERMS,
        story(call(Kind.READ, 100, 500)),
    ),
    "503 that does not say when to come again": (
        "answers_are_known",
        TERMS,
        story(call(Kind.READ, 100, 503)),
    ),
    "a read of unknown outcome": (
        "answers_are_known",
        TERMS,
        story(call(Kind.READ, 100, 504)),
    ),
    "one version with two contents": (
        "versions_are_of_one_write",
        TERMS,
        story(read(100, 2, "a"), read(100, 2, "b"), change(90, 2, "a"), change(90, 2, "b")),
    ),
    "one version written by two workers": (
        "versions_are_of_one_write",
        TERMS,
        story(change(100, 2, "a"), change(100, 2, "b", worker="node2")),
    ),
    "a change that is not in its version": (
        "versions_are_of_one_write",
        TERMS,
        story(change(100, 2, "a"), read(105, 3)),
    ),
    "a change that is in a version before it": (
        "versions_are_of_one_write",
        TERMS,
        story(change(100, 3, "a"), read(105, 2, "a")),
    ),
    "a higher version with less in it": (
        "versions_are_of_one_write",
        TERMS,
        story(change(90, 0, "a"), read(100, 2, "a"), read(100, 3)),
    ),
    "less than the hint saw": (
        "hints_are_honoured",
        TERMS,
        story(change(100, 2, "a"), read(200, 1, carried=2, is_degraded=True, source="hit")),
    ),
    "an acknowledged change that is gone": (
        "nothing_is_lost",
        TERMS,
        story(change(100, 2, "a"), read(200, 2)),
    ),
    "an older version from a worker that asked": (
        "nothing_is_lost",
        TERMS,
        story(change(100, 2, "a"), read(200, 1)),
    ),
    "a copy that is trusted for too long": (
        "nothing_is_lost",
        TERMS,
        story(change(100, 2, "a", worker="node2"), hit(4_200, 1)),
    ),
    "a copy served to who comes from another worker": (
        "nothing_is_lost",
        TERMS,
        story(change(100, 2, "a"), hit(200, 1, carried_worker="node2")),
    ),
    "a pushed copy served without a hint": (
        "nothing_is_lost",
        PUSHED,
        story(change(100, 2, "a"), hit(200, 1, carried=0, carried_worker="")),
    ),
    "a pushed copy after three seconds": (
        "nothing_is_lost",
        PUSHED,
        story(change(100, 2, "a"), hit(3_200, 1, carried_worker="node2")),
    ),
    "a pushed copy after three seconds, though the hint names its calm worker": (
        "nothing_is_lost",
        PUSHED,
        story(change(100, 2, "a", worker="node2"), hit(3_200, 1)),
    ),
    "a change kept in an outage that was never stored": (
        "nothing_buffered_is_lost",
        TERMS,
        story(change(100, 1, "a", is_unsaved=True), read(5_000, 1, is_final=True)),
    ),
    "a refused change that is seen": (
        "refused_is_never_applied",
        TERMS,
        story(call(Kind.CHANGE, 100, 503, name="a", tells_when=True), read(200, 2, "a")),
    ),
    "a change that failed its If-Match and is seen": (
        "refused_is_never_applied",
        TERMS,
        story(call(Kind.GUARDED, 100, 412, name="a", guard=1, version=2), read(200, 2, "a")),
    ),
    "content of another session": (
        "refused_is_never_applied",
        TERMS,
        story(read(200, 1, "of another story")),
    ),
    "an increment applied twice": (
        "increments_are_exact",
        TERMS,
        story(
            increment(100, 504, "a"),
            increment(200, 204, "a", version=3),
            read(300, 3, seen=seen("a", count=2)),
        ),
    ),
    "an increment lost, though its attribute is there": (
        "increments_are_exact",
        TERMS,
        story(increment(100, 204, "a", version=2), read(300, 2, seen=seen("a", count=0))),
    ),
    "a guarded change of another version": (
        "guards_hold",
        TERMS,
        story(call(Kind.GUARDED, 100, 204, name="a", guard=1, version=3)),
    ),
    "a guarded change refused though the version is right": (
        "guards_hold",
        TERMS,
        story(call(Kind.GUARDED, 100, 412, name="a", guard=1, version=1)),
    ),
    "a read after a logout": (
        "ends_are_final",
        TERMS,
        story(logout(100), read(200, 1)),
    ),
    "a change after a logout": (
        "ends_are_final",
        TERMS,
        story(logout(100, worker="node2"), change(200, 2, "a")),
    ),
    "a copy served longer after a logout than it is trusted": (
        "ends_are_final",
        TERMS,
        story(logout(100, worker="node2"), hit(4_200, 1)),
    ),
    "a copy served by the worker that made the logout": (
        "ends_are_final",
        TERMS,
        story(logout(100), hit(200, 1)),
    ),
    "an end that a worker forgets in an outage": (
        "ends_are_final",
        TERMS,
        story(logout(50, worker="node2"), over(100, "logout"), hit(200, 1, is_degraded=True)),
    ),
    "an end after an unknown answer, and then life": (
        "ends_are_final",
        TERMS,
        story(call(Kind.END, 100, 504), over(200, "logout", worker="node2"), change(300, 2, "a")),
    ),
    "a logout of an old id that spares its successor": (
        "ends_are_final",
        TERMS,
        story(login(100, 2), logout(200), read(300, 2, "id2", place=1)),
    ),
    "a logout kept in an outage that was never stored": (
        "ends_are_final",
        TERMS,
        story(logout(100, is_unsaved=True), read(5_000, 1, worker="node2", is_final=True)),
    ),
    "a logout kept in an outage that its worker forgets": (
        "ends_are_final",
        TERMS,
        story(logout(100, is_unsaved=True), hit(200, 1, is_degraded=True)),
    ),
    "a session created in an outage that was never stored": (
        "ends_have_reasons",
        TERMS,
        Story(
            1,
            IDLE_MS,
            [
                call(Kind.CREATE, 0, 201, is_unsaved=True),
                call(Kind.READ, 100, 404, worker="node2", is_final=True),
            ],
        ),
    ),
    "a change with a renewed id": (
        "ends_are_final",
        TERMS,
        story(login(100, 2), change(200, 3, "a")),
    ),
    "a renewed id that is served as if nothing were": (
        "ends_are_final",
        TERMS,
        story(login(100, 2), read(200, 1)),
    ),
    "a grace that outlives its session": (
        "ends_are_final",
        TERMS,
        story(login(100, 2), logout(200, place=1), read(300, 1, is_renewed=True)),
    ),
    "a session that expired and goes on": (
        "ends_are_final",
        TERMS,
        story(over(6_500, "expired", worker="node2"), change(6_600, 2, "a")),
    ),
    "an end that nobody asked for": (
        "ends_have_reasons",
        TERMS,
        story(over(100, "logout")),
    ),
    "a live session that is unknown": (
        "ends_have_reasons",
        TERMS,
        story(call(Kind.READ, 100, 404)),
    ),
    "two winners of one renew": (
        "logins_stay_with_their_users",
        TERMS,
        story(login(100, 2, "id2"), login(100, 2, "id3")),
    ),
    "an old id that shows the new one": (
        "logins_stay_with_their_users",
        TERMS,
        story(login(100, 2), read(105, 2, seen=seen("id2", place=1))),
    ),
    "an old id that shows who logged in": (
        "logins_stay_with_their_users",
        TERMS,
        story(login(100, 2), read(105, 1, seen=seen(principal="ada"))),
    ),
    "an old id that shows what came after the login": (
        "logins_stay_with_their_users",
        TERMS,
        story(login(100, 2), read(200, 1, "id2", is_renewed=True)),
    ),
    "a planted id that is adopted": (
        "logins_stay_with_their_users",
        TERMS,
        story(call(Kind.ADOPT, 100, 201, version=1, seen=seen(place=0))),
    ),
    "an expiry before its time": (
        "idle_expiry_is_never_early",
        TERMS,
        story(read(8_000, 1), over(13_000, "expired")),
    ),
    "an expiry on the word of a worker that does not know the newest access": (
        "idle_expiry_is_never_early",
        TERMS,
        story(read(5_000, 1), over(9_000, "expired", worker="node2")),
    ),
    "a session served beyond its idle life and the slack": (
        "idle_expiry_is_never_later_than_slack",
        TERMS,
        story(read(12_000, 1)),
    ),
    "a session served after its deadline": (
        "max_age_is_exact",
        TERMS,
        story(*(read(at, 1) for at in range(5_000, 66_000, 5_000))),
    ),
    "a session ended before its deadline": (
        "idle_expiry_is_never_early",
        TERMS,
        story(*(read(at, 1) for at in range(5_000, 60_000, 5_000)), over(59_000, "expired")),
    ),
    "a grace that is too long": (
        "grace_is_short",
        TERMS,
        story(login(100, 2), read(3_500, 1, is_renewed=True)),
    ),
}


@pytest.mark.parametrize(("rule", "terms", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_found(rule: str, terms: Terms, told: Story) -> None:
    assert rule in {violation.rule for violation in violations(told, terms)}


def test_every_rule_can_fail() -> None:
    assert {rule for rule, _, _ in BROKEN.values()} == set(RULES)


OUTAGE = structs.replace(TERMS, disturbances=[Disturbance("drop", "node1", 3_000, 8_000)])
KEPT: dict[str, tuple[Terms, Story]] = {
    "a busy life": (
        TERMS,
        story(
            change(100, 2, "a"),
            read(200, 2, "a"),
            increment(300, 504, "b"),
            increment(400, 204, "b", version=4),
            read(500, 4, seen=seen("a", "b", count=1)),
            call(Kind.GUARDED, 600, 204, name="c", guard=4, version=5),
            login(700, 6, seen=seen("a", "b", "c", "id2", count=1, principal="ada", place=1)),
            read(800, 5, seen=seen("a", "b", "c", count=1), is_renewed=True),
            logout(900, place=1),
            over(1_000, "logout", place=1),
            over(1_000, "renewed"),
            call(Kind.ADOPT, 1_100, 201, version=1, seen=seen(place=-1)),
        ),
    ),
    "calls at the same time, in any order": (
        TERMS,
        story(change(100, 2, "a"), read(105, 1), logout(205), read(210, 2, "a")),
    ),
    "merged changes of one worker": (TERMS, story(change(100, 2, "a"), change(100, 2, "b"))),
    "a copy within its trust": (
        TERMS,
        story(logout(100, worker="node2"), hit(4_000, 1), over(4_200, "logout")),
    ),
    "a pushed copy within three seconds": (
        PUSHED,
        story(change(100, 2, "a"), hit(3_000, 1, carried_worker="node2")),
    ),
    "a pushed copy of a worker without a stream": (
        structs.replace(PUSHED, disturbances=OUTAGE.disturbances),
        story(change(4_000, 2, "a", worker="node2"), hit(7_900, 1)),
    ),
    "an old copy in an outage": (
        TERMS,
        story(change(100, 2, "a"), hit(5_000, 1, is_degraded=True)),
    ),
    "an old copy in an outage of an id that others had renewed, by who renewed the next one": (
        TERMS,
        story(
            login(50, 2, worker="node2"),
            login(100, 3, "id3", place=1, seen=seen("id2", "id3", principal="ada", place=2)),
            hit(9_000, 1, is_degraded=True),
        ),
    ),
    "a change that is repeated in an outage, to who does not know of the end": (
        TERMS,
        story(
            increment(50, 204, "a", version=2, worker="node2"),
            logout(100, worker="node2"),
            increment(5_000, 204, "a", version=2, is_degraded=True, source="bypass"),
        ),
    ),
    "a logout kept in an outage, before anybody else knows": (
        TERMS,
        story(logout(100, is_unsaved=True), change(200, 2, "a", worker="node2")),
    ),
    "a change that was killed with its worker": (
        structs.replace(TERMS, killed={("node1", 1)}),
        story(change(100, 1, "a", is_unsaved=True), read(5_000, 1, is_final=True)),
    ),
    "an expiry in time": (TERMS, story(over(6_100, "expired"))),
    "an expiry as late as may be": (TERMS, story(read(11_400, 1))),
    "an expiry by who cannot know better": (
        OUTAGE,
        story(read(5_000, 1, worker="node2"), over(7_000, "expired")),
    ),
    "an access that could not be written": (
        OUTAGE,
        story(hit(5_000, 1, is_degraded=True), over(9_000, "expired", worker="node2")),
    ),
}


@pytest.mark.parametrize(("terms", "told"), KEPT.values(), ids=KEPT)
def test_what_is_promised_breaks_no_rule(terms: Terms, told: Story) -> None:
    assert violations(told, terms) == []
