"""The rules of a session's content, versions and end, over what its users were told.

Each rule takes a story and the terms, and yields a sentence for each violation. One call comes
before another only if its answer had been received when the other one was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final, TypeAlias

from msgspec import Struct

from tests.faults import times
from tests.faults.history import Call, Kind, Seen, Story
from tests.faults.terms import Terms

Rule: TypeAlias = Callable[[Story, Terms], Iterator[str]]

CHANGES: Final = frozenset({Kind.CHANGE, Kind.INCREMENT, Kind.GUARDED, Kind.RENEW})
REFUSALS: Final = frozenset({404, 410, 412, 429, 503})


class Violation(Struct, frozen=True):
    """A rule that was broken, and how."""

    rule: str
    story: int
    sentence: str


def violations(story: Story, terms: Terms) -> list[Violation]:
    """All that is wrong with a story."""
    return [
        Violation(name, story.number, sentence)
        for name, rule in RULES.items()
        for sentence in rule(story, terms)
    ]


def answers_are_known(story: Story, _: Terms) -> Iterator[str]:
    """Only documented answers; a refusal for want of a store says when to come again."""
    known = REFUSALS | {0, 200, 201, 204, 504}
    for call in story.calls:
        if call.status not in known:
            yield f"an unexpected answer: {call}"
        if call.status == 503 and not call.tells_when:
            yield f"503 without Retry-After: {call}"
        if call.status == 504 and call.kind in {Kind.READ, Kind.PEEK, Kind.TOUCH}:
            yield f"a read has no outcome to be unknown: {call}"


def versions_are_of_one_write(story: Story, _terms: Terms) -> Iterator[str]:
    """No two writes share a version, and content only grows with it."""
    contents: dict[int, tuple[frozenset[str], int, str | None]] = {}
    for call, seen in _observed(story):
        content = (seen.names, seen.count, seen.principal)
        if contents.setdefault(call.version, content) != content:
            yield f"version {call.version} has two contents: {contents[call.version]} and {call}"
    for (_, before), (version, after) in pairwise(sorted(contents.items())):
        if not before[0] <= after[0] or before[1] > after[1]:
            yield f"version {version} has lost {before[0] - after[0]}, counter {before[1]}"
    writers: dict[int, Call] = {}
    for call in _written_once(story):
        other = writers.setdefault(call.version, call)
        if other.by != call.by:
            yield f"two workers wrote version {call.version}: {other} and {call}"
        for version, (names, _, _) in contents.items():
            if (call.name in names) is not (version >= call.version):
                yield f"version {version} and the write of {call.version} disagree: {call}"


def hints_are_honoured(story: Story, _: Terms) -> Iterator[str]:
    """What carries a hint sees what the hint saw."""
    for call in story.calls:
        if call.is_served and 0 < call.version < call.carried and not call.is_renewed:
            yield f"carried {call.carried} and was shown {call.version}: {call}"


def nothing_is_lost(story: Story, terms: Terms) -> Iterator[str]:
    """What was acknowledged or seen is seen by whoever asks later, or has an old enough copy."""
    for call in story.calls:
        if not call.is_served or not call.version or call.is_renewed:
            continue
        age = terms.age_max(call)
        if age is None:
            continue
        for other in story.calls:
            if other.received >= call.sent - age or not other.is_served or other.is_unsaved:
                continue
            if _place_after(other) > _place_after(call):
                continue
            if other.version > call.version:
                yield f"version {other.version} was known before {call}: {other}"
            if call.seen and other.kind in CHANGES and other.name not in call.seen.names:
                yield f"{other.name} is lost: {other} before {call}"


def nothing_buffered_is_lost(story: Story, terms: Terms) -> Iterator[str]:
    """What a worker kept in an outage is stored in the end, unless the worker was killed."""
    kept = {
        call.name
        for call in story.calls
        if call.is_unsaved and call.is_done and call.by not in terms.killed
    } - {""}
    for call, seen in _observed(story):
        if call.is_final and not kept <= seen.names:
            yield f"kept in an outage, and lost: {kept - seen.names}"


def refused_is_never_applied(story: Story, _: Terms) -> Iterator[str]:
    """A change is seen only if it may have been applied, and only in its own session."""
    possible = {call.name for call in story.calls if call.name and (call.is_done or call.is_open)}
    for call in story.calls:
        if call.seen and not call.seen.names <= possible and call.is_served:
            yield f"refused or foreign: {call.seen.names - possible} in {call}"


def increments_are_exact(story: Story, _: Terms) -> Iterator[str]:
    """Each increment sets an attribute, too: as many of these are seen as the counter says."""
    names = {call.name for call in story.calls if call.kind is Kind.INCREMENT}
    for call in story.calls:
        if call.seen and call.is_served and call.seen.count != len(names & call.seen.names):
            yield f"the counter is {call.seen.count}: {call}"


def guards_hold(story: Story, _: Terms) -> Iterator[str]:
    """With If-Match a change is the next write after the version it names, or refused."""
    for call in story.calls:
        if call.kind is not Kind.GUARDED or call.is_unsaved:
            continue
        if call.is_done and call.version != call.guard + 1:
            yield f"changed version {call.version - 1}, not {call.guard}: {call}"
        if call.status == 412 and call.version == call.guard:
            yield f"refused, and yet it is the version: {call}"


def ends_are_final(story: Story, terms: Terms) -> Iterator[str]:
    """Nothing ended is revived, and an end reaches every copy within its bound."""
    ends = [end for end in map(_end_of, story.calls) if end is not None]
    # What a worker keeps in an outage is known to nobody else, until it is stored.
    keepers = {call.by for call in story.calls if call.kind is Kind.END and call.is_unsaved}
    for call in story.calls:
        if not call.is_served:
            continue
        age = terms.age_max(call)
        for end in ends:
            is_meant = end.first <= _place_after(call) <= end.last
            if not is_meant or (call.is_renewed and end.is_renew):
                continue
            # Of the ids before the one that it ended, others may know more.
            is_known = end.call.by == call.by and end.call.place <= _place_after(call)
            if not is_known and end.call.by in keepers and not call.is_final:
                continue
            bound = 0 if is_known or call.is_final else age
            if not end.is_certain(terms) or bound is None:
                continue
            if end.call.received < call.sent - bound:
                yield f"ended by {end.call}, and yet: {call}"


def ends_have_reasons(story: Story, terms: Terms) -> Iterator[str]:
    """A session ends by what somebody asked for, or by time; it never becomes absent."""
    for call in story.calls:
        before = [other.kind for other in story.calls if other.sent < call.received]
        is_asked = {"logout": Kind.END in before, "renewed": Kind.RENEW in before, "expired": True}
        if call.status == 410 and not is_asked.get(call.reason, False):
            yield f"nobody asked for this end: {call}"
        if call.status == 404 and not _may_be_unknown(story, call, terms):
            yield f"it was never absent: {call}"


def logins_stay_with_their_users(story: Story, _: Terms) -> Iterator[str]:
    """Who knows an old id, or plants one, is never shown what came after the login."""
    later = {call.name: _place_after(call) for call in story.calls if call.name}
    winners: dict[int, Call] = {}
    for call in story.calls:
        if call.kind is Kind.RENEW and call.is_done:
            other = winners.setdefault(call.place, call)
            if other.name != call.name:
                yield f"two renews of one id: {other} and {call}"
        seen = call.seen
        if seen is None or not call.is_done:
            continue
        if call.kind is Kind.ADOPT and call.status == 201:
            if seen.place != -1 or seen.names or seen.principal:
                yield f"a foreign id was adopted: {call}"
            continue
        place = _place_after(call)
        if seen.place != place:
            yield f"asked for id {place}, shown id {seen.place}: {call}"
        if seen.principal is not None and place == 0:
            yield f"the old id shows the login: {call}"
        if any(later.get(name, 0) > place for name in seen.names):
            yield f"the old id shows what came after the login: {call}"


class _End(Struct, frozen=True):
    """The ids from place `first` to `last` are over, since `call` was answered."""

    call: Call
    first: int
    last: int
    is_renew: bool = False

    def is_certain(self, terms: Terms) -> bool:
        """A worker that cannot ask may call a session expired that goes on elsewhere."""
        call = self.call
        if call.by in terms.killed and call.is_unsaved:
            return False
        if call.reason != "expired":
            return True
        return not call.is_degraded and terms.is_calm(
            call.worker, call.sent - 2 * terms.touch_ms - times.RETURN_MS, call.received
        )


def _end_of(call: Call) -> _End | None:
    match call.kind, call.status, call.reason:
        case Kind.END, 204, _:
            return _End(call, 0, 1 << 30)
        case Kind.RENEW, 200, _:
            return _End(call, 0, call.place, is_renew=True)
        case _, 410, "renewed":
            return _End(call, 0, call.place, is_renew=True)
        case _, 410, _:
            return _End(call, call.place, call.place)
        case _:
            return None


def _may_be_unknown(story: Story, call: Call, terms: Terms) -> bool:
    """A session that was created in an outage is known to one worker only until it is stored."""
    created = story.calls[0]
    return created.is_unsaved and (not call.is_final or created.by in terms.killed)


def _place_after(call: Call) -> int:
    """The place of the id that the call is about, or that it gave."""
    return call.place + (call.kind is Kind.RENEW)


def _observed(story: Story) -> Iterator[tuple[Call, Seen]]:
    """Answers with stored content."""
    for call in story.calls:
        if call.is_served and call.seen and not call.is_unsaved:
            yield call, call.seen


def _written_once(story: Story) -> Iterator[Call]:
    """Changes whose answer names the very write that made them: not those that were repeated."""
    tries: dict[str, int] = {}
    for call in story.calls:
        tries[call.name] = tries.get(call.name, 0) + 1
    for call in story.calls:
        is_once = call.kind in CHANGES and tries[call.name] == 1
        if is_once and call.is_done and call.version and not call.is_unsaved:
            yield call


RULES: Final[dict[str, Rule]] = {
    rule.__name__: rule
    for rule in (
        answers_are_known,
        versions_are_of_one_write,
        hints_are_honoured,
        nothing_is_lost,
        nothing_buffered_is_lost,
        refused_is_never_applied,
        increments_are_exact,
        guards_hold,
        ends_are_final,
        ends_have_reasons,
        logins_stay_with_their_users,
        times.idle_expiry_is_never_early,
        times.idle_expiry_is_never_later_than_slack,
        times.max_age_is_exact,
        times.grace_is_short,
    )
}
