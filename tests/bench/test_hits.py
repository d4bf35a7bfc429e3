import pytest

from bench.comparing import OURS
from bench.load import Sample
from bench.rows.hits import REDIS, limit_note


def samples(*busy: float) -> list[Sample]:
    return [Sample(rate=1.0, p50_us=1.0, p99_us=1.0, cpu_us=1.0, busy=part) for part in busy]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        pytest.param(0.95, 0.9, "", id="both full"),
        pytest.param(0.79, 0.95, "Moorline used 79% of its core only", id="ours is not"),
        pytest.param(0.95, 0.77, "the peer used 77% of its core only", id="the peer's is not"),
        pytest.param(
            0.79, 0.77, "Moorline used 79% and the peer used 77% of its core only", id="neither"
        ),
    ],
)
def test_a_row_tells_whose_core_was_not_full(ours: float, theirs: float, expected: str) -> None:
    series = {OURS: samples(0.1, ours, 1.0), REDIS: samples(0.1, theirs, 1.0)}

    assert limit_note(series, REDIS) == expected
