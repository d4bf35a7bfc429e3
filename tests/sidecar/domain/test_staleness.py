import itertools

import pytest
from moorline_api import Staleness
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.policies import (
    CopyFacts,
    Policy,
    may_serve_copy,
    may_serve_in_outage,
)

from tests.sidecar.domain.facts import HERE, SECOND, THERE, a_policy

VERSION = 7

NONE = None
OURS = Hint(VERSION, HERE)
OURS_OLDER = Hint(VERSION - 1, HERE)
OURS_NEWER = Hint(VERSION + 1, HERE)
OURS_SUFFIX = Hint(0, HERE)
THEIRS = Hint(VERSION, THERE)
THEIRS_OLDER = Hint(VERSION - 1, THERE)
THEIRS_NEWER = Hint(VERSION + 1, THERE)
THEIRS_SUFFIX = Hint(0, THERE)

FRESH, STALE = 9_999, 10_000

LIVE = "Pushed with a live stream"
PUSHED = "Pushed"
BOUNCED = "Bounced"
PERIODIC = "Periodic"
NEVER = "Never"
ALWAYS = "Always"

MODES = {
    LIVE: Staleness.PUSHED,
    PUSHED: Staleness.PUSHED,
    BOUNCED: Staleness.BOUNCED,
    PERIODIC: Staleness.PERIODIC,
    NEVER: Staleness.NEVER,
    ALWAYS: Staleness.ALWAYS,
}

SERVED_BY: dict[tuple[Hint | None, int], set[str]] = {
    (NONE, FRESH): {PERIODIC, NEVER},
    (NONE, STALE): {NEVER},
    (OURS, FRESH): {LIVE, PUSHED, BOUNCED, PERIODIC, NEVER},
    (OURS, STALE): {LIVE, NEVER},
    (OURS_OLDER, FRESH): {LIVE, PUSHED, BOUNCED, PERIODIC, NEVER},
    (OURS_OLDER, STALE): {LIVE, NEVER},
    (OURS_NEWER, FRESH): set(),
    (OURS_NEWER, STALE): set(),
    (OURS_SUFFIX, FRESH): {LIVE, PUSHED, BOUNCED, PERIODIC, NEVER},
    (OURS_SUFFIX, STALE): {LIVE, NEVER},
    (THEIRS, FRESH): {LIVE, PERIODIC, NEVER},
    (THEIRS, STALE): {LIVE, NEVER},
    (THEIRS_OLDER, FRESH): {LIVE, PERIODIC, NEVER},
    (THEIRS_OLDER, STALE): {LIVE, NEVER},
    (THEIRS_NEWER, FRESH): set(),
    (THEIRS_NEWER, STALE): set(),
    (THEIRS_SUFFIX, FRESH): {LIVE, PERIODIC, NEVER},
    (THEIRS_SUFFIX, STALE): {LIVE, NEVER},
}
"""The modes that serve a copy of version 7 without asking, by hint and by its age."""


@pytest.mark.parametrize(
    ("mode", "hint", "age"),
    [
        pytest.param(mode, hint, age, id=f"{mode}-{hint}-{'fresh' if age == FRESH else 'stale'}")
        for mode, (hint, age) in itertools.product(MODES, SERVED_BY)
    ],
)
def test_a_copy_is_served_without_asking_iff(mode: str, hint: Hint | None, age: int) -> None:
    policy = a_policy(
        staleness=MODES[mode],
        stale_period_ms=10 * SECOND,
        max_trust_ms=10 * SECOND,
    )
    copy = CopyFacts(VERSION, age, stream_is_live=mode == LIVE)

    assert may_serve_copy(policy, copy, hint) is (mode in SERVED_BY[hint, age])


@pytest.mark.parametrize(
    ("staleness", "age", "expected"),
    [
        pytest.param(Staleness.BOUNCED, 4_999, True, id="Bounced within maxTrust"),
        pytest.param(Staleness.BOUNCED, 5_001, False, id="Bounced beyond maxTrust"),
        pytest.param(Staleness.PUSHED, 4_999, True, id="Pushed within maxTrust"),
        pytest.param(Staleness.PUSHED, 5_001, False, id="Pushed beyond maxTrust"),
        pytest.param(Staleness.PERIODIC, 29_999, True, id="Periodic within stalePeriod"),
        pytest.param(Staleness.PERIODIC, 30_001, False, id="Periodic beyond stalePeriod"),
    ],
)
def test_each_mode_has_a_limit_of_its_own(
    staleness: Staleness, age: int, *, expected: bool
) -> None:
    policy = a_policy(staleness=staleness, stale_period_ms=30 * SECOND, max_trust_ms=5 * SECOND)

    assert may_serve_copy(policy, CopyFacts(VERSION, age), OURS) is expected


@pytest.mark.parametrize("staleness", [Staleness.BOUNCED, Staleness.PUSHED, Staleness.PERIODIC])
def test_a_limit_of_zero_trusts_no_copy(staleness: Staleness) -> None:
    policy = a_policy(staleness=staleness, stale_period_ms=0, max_trust_ms=0)

    assert not may_serve_copy(policy, CopyFacts(VERSION, 0), OURS)


@pytest.mark.parametrize("is_live", [True, False])
@pytest.mark.parametrize("staleness", [Staleness.PUSHED, Staleness.BOUNCED])
def test_a_copy_that_a_stream_has_outdated_is_not_served(
    staleness: Staleness, *, is_live: bool
) -> None:
    copy = CopyFacts(VERSION, FRESH, stream_is_live=is_live, is_outdated=True)

    assert not may_serve_copy(a_policy(staleness=staleness), copy, OURS)


@pytest.mark.parametrize("staleness", [each for each in Staleness if each is not Staleness.PUSHED])
def test_a_live_stream_changes_nothing_but_pushed(staleness: Staleness) -> None:
    policy = a_policy(staleness=staleness)
    answers = [
        [
            may_serve_copy(policy, CopyFacts(VERSION, age, stream_is_live=is_live), hint)
            for hint, age in SERVED_BY
        ]
        for is_live in (True, False)
    ]

    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        pytest.param(NONE, True, id="no hint"),
        pytest.param(OURS, True, id="as seen"),
        pytest.param(THEIRS_OLDER, True, id="older than the copy"),
        pytest.param(THEIRS_SUFFIX, True, id="a suffix"),
        pytest.param(OURS_NEWER, False, id="newer, from here"),
        pytest.param(THEIRS_NEWER, False, id="newer, from elsewhere"),
    ],
)
def test_in_an_outage_a_copy_is_served_but_not_below_the_hinted_version(
    hint: Hint | None, *, expected: bool
) -> None:
    assert may_serve_in_outage(VERSION, hint) is expected


def test_pushed_is_the_default() -> None:
    assert Policy(worker="a").staleness is Staleness.PUSHED
