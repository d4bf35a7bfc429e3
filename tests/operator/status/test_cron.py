from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from moorline_operator.status.cron import next_time

AFTER = datetime(2026, 11, 22, 8, 0, 30, tzinfo=UTC)  # a Sunday


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * *", "2026-11-22T08:01"),
        ("0 * * * *", "2026-11-22T09:00"),
        ("58 3 * * *", "2026-11-23T03:58"),
        ("*/15 8 * * *", "2026-11-22T08:15"),
        ("7/20 * * * *", "2026-11-22T08:07"),
        ("0 0 * * 0", "2026-11-29T00:00"),
        ("0 0 * * mon-WED", "2026-11-23T00:00"),
        ("0 0 1 * *", "2026-12-01T00:00"),
        ("0 0 1 1 *", "2027-01-01T00:00"),
        ("0 0 29 feb *", "2028-02-29T00:00"),
        ("0 0 30 2 *", None),
        ("@daily", None),
        ("TZ=UTC 0 0 * * *", None),
        ("0 0 * * someday", None),
        ("*/0 * * * *", None),
        ("0 0 1 * 1", "2026-11-23T00:00"),
        ("0 0 */2 * 1", "2026-11-23T00:00"),
        ("0 0 1 * ?", "2026-12-01T00:00"),
        ("5,10 8,9 22 11 *", "2026-11-22T08:05"),
        ("0 9 22-23/1 11 *", "2026-11-22T09:00"),
    ],
)
def test_a_schedule_has_a_next_time(schedule: str, expected: str | None) -> None:
    found = next_time(schedule, AFTER)
    assert (found and f"{found:%Y-%m-%dT%H:%M}") == expected


def fields(first: int, last: int) -> st.SearchStrategy[str]:
    numbers = st.integers(first, last)
    return st.one_of(
        st.just("*"),
        numbers.map(str),
        st.integers(1, 40).map("*/{}".format),
        st.tuples(numbers, numbers).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.lists(numbers, min_size=2, max_size=3).map(lambda them: ",".join(map(str, them))),
    )


SCHEDULES = st.tuples(fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12), fields(0, 6)).map(
    " ".join
)
TIMES = st.datetimes(datetime(2026, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants them so


@given(SCHEDULES, TIMES)
def test_the_next_time_is_later_and_is_its_own_successor(schedule: str, after: datetime) -> None:
    found = next_time(schedule, after)
    assume(found is not None)
    assert found is not None
    assert found > after
    assert next_time(schedule, found - timedelta(seconds=1)) == found
