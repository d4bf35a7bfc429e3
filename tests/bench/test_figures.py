import pytest

from bench.figures import Figure, figure, percentile, ratio


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([3.0], Figure(3, 3, 3), id="one"),
        pytest.param([9.0, 1.0, 2.0], Figure(2, 1, 9), id="an odd number"),
        pytest.param([1.0, 2.0, 4.0, 9.0], Figure(3, 1, 9), id="an even number"),
    ],
)
def test_a_figure_is_the_median_between_the_least_and_the_most(
    values: list[float], expected: Figure
) -> None:
    assert figure(values) == expected


def test_a_ratio_is_taken_of_neighbours_in_time() -> None:
    # The machine was three times slower in the second round: to both.
    assert ratio([200, 66, 210], [100, 33, 100]) == Figure(2.0, 2.0, 2.1)


def test_a_ratio_needs_as_many_rounds_of_both() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])


@pytest.mark.parametrize(
    ("count", "part", "expected"),
    [
        pytest.param(1, 0.99, 1, id="of one value"),
        pytest.param(4, 0.5, 2, id="half of four"),
        pytest.param(100, 0.99, 99, id="the 99th of a hundred"),
        pytest.param(101, 0.99, 100, id="nearest rank"),
        pytest.param(1000, 1.0, 1000, id="the last"),
    ],
)
def test_a_percentile_is_a_value_that_was_seen(count: int, part: float, expected: int) -> None:
    assert percentile(range(1, count + 1), part) == expected


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
