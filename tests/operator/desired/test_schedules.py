import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_api.schedules import SCHEDULE_PATTERN
from moorline_operator.desired.schedules import spread

NAMES = ["@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("@hourly", r"\d+ \* \* \* \*"),
        ("@daily", r"\d+ \d+ \* \* \*"),
        ("@midnight", r"\d+ \d+ \* \* \*"),
        ("@weekly", r"\d+ \d+ \* \* 0"),
        ("@monthly", r"\d+ \d+ 1 \* \*"),
        ("@yearly", r"\d+ \d+ 1 1 \*"),
        ("@annually", r"\d+ \d+ 1 1 \*"),
    ],
)
def test_a_name_becomes_fields(name: str, shape: str) -> None:
    assert re.fullmatch(shape, spread(name, "a-uid"))


@given(st.sampled_from(NAMES), st.uuids().map(str))
def test_what_comes_out_is_a_schedule(name: str, uid: str) -> None:
    assert re.fullmatch(SCHEDULE_PATTERN, spread(name, uid))
    assert spread(name, uid) == spread(name, uid)


@pytest.mark.parametrize("schedule", ["30 3 * * *", "*/5 0-6 1,15 jan mon", "? ? ? ? ?"])
def test_fields_stay_as_they_are(schedule: str) -> None:
    assert spread(schedule, "a-uid") == schedule


def test_a_thousand_clusters_do_not_purge_at_once() -> None:
    times = Counter(spread("@daily", f"uid-{number}") for number in range(1000))
    assert times.most_common(1)[0][1] <= 10
