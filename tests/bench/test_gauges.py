from collections import Counter

import pytest

from bench.gauges import share


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        pytest.param({"hit": 5}, 0.0, id="nothing in between"),
        pytest.param({"hit": 5, "miss": 10}, 1.0, id="all of them"),
        pytest.param({"hit": 15, "miss": 30}, 0.75, id="some of them"),
    ],
)
def test_a_share_is_of_the_reads_in_between(after: dict[str, int], expected: float) -> None:
    assert share("miss", Counter({"hit": 5}), Counter(after)) == expected
