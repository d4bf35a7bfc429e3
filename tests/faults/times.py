"""The rules of a session's life span, over what its users were told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.faults.history import Call, Kind, Story
from tests.faults.terms import SLACK_MS, Terms

RETURN_MS: Final = 5_000
"""For a worker to find out that the store is back, and to write what waited."""

LANDING_MS: Final = 15_000
"""For what got no answer to take effect, after its client gave up."""


def idle_expiry_is_never_early(story: Story, terms: Terms) -> Iterator[str]:
    """An access that could be written in time keeps the session for its idle time."""
    accesses = [call for call in story.calls if call.is_access and _is_written(story, call, terms)]
    newest = max(accesses, key=lambda call: call.sent, default=None)
    if newest is None:
        return
    over = min(newest.sent + story.max_idle_ms, _created(story).sent + terms.max_age_ms)
    for call in story.calls:
        error = terms.clock_error(_created(story), newest, call)
        is_early = call.reason == "expired" and call.received < over - error
        # Who cannot ask goes by what it knows: local expiry holds in an outage.
        if is_early and _was_calm(call, terms):
            yield f"expired {over - call.received} ms early: {call}"


def idle_expiry_is_never_later_than_slack(story: Story, terms: Terms) -> Iterator[str]:
    slack = terms.slack(story.max_idle_ms)
    for call in story.calls:
        if not call.is_access or call.kind is Kind.CREATE:
            continue
        accessed, newest = max(
            (
                (min(other.received + (LANDING_MS if other.is_open else 0), call.sent), other)
                for other in story.calls
                if other is not call and other.sent <= call.sent and _may_be_access(other)
            ),
            key=lambda access: access[0],
        )
        late = call.sent - accessed - story.max_idle_ms
        if late > slack + terms.clock_error(newest, call) and _was_calm(call, terms):
            yield f"served {late} ms after its idle life: {call}"


def max_age_is_exact(story: Story, terms: Terms) -> Iterator[str]:
    """Nobody is served a session after its deadline, whatever the weather."""
    if not terms.max_age_ms:
        return
    deadline = _created(story).received + terms.max_age_ms
    for call in story.calls:
        if call.is_served:
            late = call.sent - deadline
            if late > terms.clock_error(_created(story), call):
                yield f"served {late} ms after its deadline: {call}"


def grace_is_short(story: Story, terms: Terms) -> Iterator[str]:
    for renew in story.calls:
        if renew.kind is not Kind.RENEW or not renew.is_done:
            continue
        for call in story.calls:
            is_in_grace = call.is_renewed and call.place <= renew.place
            late = call.sent - renew.received - terms.grace_ms
            if is_in_grace and late > terms.clock_error(renew, call):
                yield f"shown {late} ms after the grace: {call}"


def _created(story: Story) -> Call:
    return story.calls[0]


def _may_be_access(call: Call) -> bool:
    return call.is_access or (call.is_open and call.kind not in {Kind.PEEK, Kind.END})


def _was_calm(call: Call, terms: Terms) -> bool:
    """Whether the store was in reach for long enough to know what others had written."""
    began = call.sent - 2 * terms.touch_ms - RETURN_MS
    return not call.is_degraded and terms.is_calm(call.worker, began, call.received)


def _is_written(story: Story, call: Call, terms: Terms) -> bool:
    """Whether nothing kept the worker from writing this access in time.

    A worker that is killed may: what it had not written is younger than the slack that every
    other one gives.
    """
    within = terms.touch_period(story.max_idle_ms) + SLACK_MS
    return terms.is_calm(call.worker, call.sent - within, call.received + within)
