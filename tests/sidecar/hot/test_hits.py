import gc
import weakref
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.cache.l1 import FREQUENCY_MAX
from moorline_sidecar.hot.plain import LAST_INSTANT, TIMES_BYTES
from moorline_sidecar.sessions.clock import ManualClock

from tests.sidecar.domain.facts import fields_of
from tests.sidecar.hot.test_names import RESTS, an_answer, name_of

T0 = 1_700_000_000_000
moments = st.integers(0, LAST_INSTANT)


class Held:
    """An entry, as far as a hit looks at it."""

    def __init__(self, times: Any) -> None:  # noqa: ANN401 of either implementation
        self.times = times


class Rig:
    """One named answer, on a clock that stands still; what it asks for is written down."""

    def __init__(
        self,
        implementation: ModuleType,
        attributes: bytes = b"{}",
        **times: Any,  # noqa: ANN401 of either implementation
    ) -> None:
        self.clock = ManualClock(T0)
        self.names, self.standing = implementation.Names(), implementation.Standing()
        self.standing.since, self.standing.until = 5, 1_000_000
        of_a_session = {
            "own_accessed": T0 - 10,
            "own_expiry": T0 + 990,
            "stored_accessed": T0 - 100,
            "stored_expiry": T0 + 900,
            "stored_node": "node1",
            "deadline": None,
            "max_idle_ms": 1_000,
            "calm_until": T0 + 500,
        }
        self.entry = Held(implementation.Times(**{**of_a_session, **times}))
        self.answer = an_answer(implementation, attributes)
        self.names.put(self.answer, self.entry, 5, name_of(1), RESTS[0])
        self.asked: list[object] = []
        self._implementation = implementation
        self.hits = self.hits_by(self.clock)

    def hits_by(self, clock: ManualClock) -> Any:  # noqa: ANN401 of either implementation
        return self._implementation.Hits(
            self.names, self.standing, clock, FREQUENCY_MAX, self.known, self.unknown
        )

    def known(self, answer: Any) -> bytes | None:  # noqa: ANN401 of either implementation
        self.asked.append(answer)
        return b"known"

    def unknown(self, data: bytes) -> bytes | None:
        self.asked.append(data)
        return None


def whole(*shown: bytes, more: bytes = b"") -> bytes:
    accessed, last, expiry = shown
    return b'lead%bown","accessed":"%b","lastAccessed":"%b","expires":"%bmiddle{}}' % (
        more,
        accessed,
        last,
        expiry,
    )


@given(accessed=moments, last=moments, expiry=moments | st.none(), more=st.binary(max_size=9))
def test_an_answer_is_its_parts_with_the_times_in_between(
    implementation: ModuleType, accessed: int, last: int, expiry: int | None, more: bytes
) -> None:
    times = implementation.Times(accessed, expiry, 0, None, "", None, 0, last)
    shown = [implementation.instant(each or 0) for each in (accessed, last, expiry)]
    answer = an_answer(implementation)

    assert implementation.hit(answer, times, more) == whole(*shown, more=more)
    assert implementation.hit(answer, times) == whole(*shown)
    assert len(whole(*shown)) - len(b"leadownmiddle{}}") == TIMES_BYTES


@pytest.mark.parametrize(
    ("ms", "expected"), [(-1, 0), (LAST_INSTANT + 1, LAST_INSTANT), (2**62, LAST_INSTANT)]
)
def test_a_time_that_has_no_text_is_shown_as_the_nearest(
    implementation: ModuleType, ms: int, expected: int
) -> None:
    times = implementation.Times(ms, ms, 0, None, "", None, 0, ms)
    shown = [implementation.instant(expected)] * 3

    assert implementation.hit(an_answer(implementation), times) == whole(*shown)


def test_what_is_no_name_is_asked_about(implementation: ModuleType) -> None:
    rig = Rig(implementation)

    assert rig.hits.answer(name_of(2)) is None
    assert rig.hits.answer(b"") is None
    assert rig.asked == [name_of(2), b""]


def test_a_hit_moves_its_times_and_nothing_is_asked(compiled: ModuleType) -> None:
    rig = Rig(compiled)
    times = rig.entry.times

    assert rig.hits.answer(name_of(1)) == compiled.hit(rig.answer, times)

    assert (times.own_accessed, times.own_last_accessed) == (T0, T0 - 10)
    assert (times.own_expiry, times.used_at, times.frequency) == (T0 + 1_000, 0, 1)
    assert (rig.standing.hits, rig.asked) == (1, [])


def test_a_hit_in_the_same_millisecond_moves_nothing(compiled: ModuleType) -> None:
    rig = Rig(compiled)
    first = rig.hits.answer(name_of(1))

    answers = [rig.hits.answer(name_of(1)) for _ in range(5)]

    assert answers == [first] * 5
    assert rig.entry.times.own_last_accessed == T0 - 10
    assert (rig.entry.times.frequency, rig.standing.hits) == (FREQUENCY_MAX, 6)


def test_the_store_may_be_ahead_by_another_time(compiled: ModuleType) -> None:
    rig = Rig(compiled)
    rig.hits.answer(name_of(1))
    rig.clock.offset += 100
    rig.clock.advance(1)

    rig.hits.answer(name_of(1))

    assert rig.entry.times.own_accessed == T0 + 101
    assert rig.entry.times.used_at == 1


def test_an_older_clock_takes_no_access_back(compiled: ModuleType) -> None:
    rig = Rig(compiled, own_accessed=T0 + 1, own_expiry=T0 + 1_001)

    assert rig.hits.answer(name_of(1)) == compiled.hit(rig.answer, rig.entry.times)

    assert (rig.entry.times.own_accessed, rig.entry.times.own_expiry) == (T0 + 1, T0 + 1_001)


@pytest.mark.parametrize(
    ("standing", "times"),
    [
        pytest.param({"since": 6}, {}, id="another stream"),
        pytest.param({"until": 0}, {}, id="the stream vouches no more"),
        pytest.param({"is_down": True}, {}, id="the store is away"),
        pytest.param({}, {"calm_until": T0}, id="not calm any more"),
        pytest.param({}, {"calm_until": 0}, id="nobody has looked"),
        pytest.param({}, {"max_idle_ms": 2**63 - 1}, id="an expiry beyond all"),
    ],
)
def test_where_it_is_not_sure_it_asks_and_has_counted_nothing(
    compiled: ModuleType, standing: dict[str, Any], times: dict[str, Any]
) -> None:
    rig = Rig(compiled, **times)
    for name, value in standing.items():
        setattr(rig.standing, name, value)
    before = fields_of(rig.entry.times)

    assert rig.hits.answer(name_of(1)) == b"known"

    assert (rig.asked, rig.standing.hits) == ([rig.answer], 0)
    assert fields_of(rig.entry.times) == before


@pytest.mark.parametrize("data", [bytearray(name_of(1)), memoryview(name_of(1)), "text", None])
def test_what_is_not_bytes_is_no_name(compiled: ModuleType, data: Any) -> None:  # noqa: ANN401
    rig = Rig(compiled)

    assert rig.hits.answer(data) is None
    assert rig.names.find(data) is None
    assert rig.asked == [data]


def test_an_error_of_whom_it_asks_is_passed_on(implementation: ModuleType) -> None:
    rig = Rig(implementation, calm_until=0)
    hits = implementation.Hits(
        rig.names, rig.standing, rig.clock, FREQUENCY_MAX, lambda _: 1 // 0, lambda _: 1 // 0
    )

    for name in (name_of(1), name_of(2)):
        with pytest.raises(ZeroDivisionError):
            hits.answer(name)


def test_a_clock_that_forgets_the_answer_costs_nobody_the_process(compiled: ModuleType) -> None:
    rig = Rig(compiled)

    class Forgetful(ManualClock):
        def nanoseconds(self) -> int:
            rig.answer.unname()
            rig.names.clear()
            return super().nanoseconds()

    hits = rig.hits_by(Forgetful(T0))

    assert hits.answer(name_of(1)) == b"known"
    assert hits.answer(name_of(1)) is None


def test_it_goes_with_those_whom_it_asks(implementation: ModuleType) -> None:
    rig = Rig(implementation)
    gone = weakref.ref(rig)
    rig.answer.unname()

    del rig
    gc.collect()

    assert gone() is None
