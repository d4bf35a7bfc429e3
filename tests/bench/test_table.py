import pytest

from bench.results import Target, Unit, at_least, at_most
from bench.table import bound, line, number, verdict
from tests.bench.rows import row


@pytest.mark.parametrize(
    ("value", "target", "expected"),
    [
        pytest.param(1.0, at_least(1.0), "met", id="at a lower bound"),
        pytest.param(0.25, at_least(1.0), "missed by 75%", id="below a lower bound"),
        pytest.param(0.2, at_most(0.25, Unit.MILLISECONDS), "met", id="below an upper bound"),
        pytest.param(2.0, at_most(0.5, Unit.SECONDS), "missed by 300%", id="above an upper bound"),
        pytest.param(0.0, at_most(0, Unit.WRITES), "met", id="none of what must not be"),
        pytest.param(2.0, at_most(0, Unit.WRITES), "missed by 200%", id="two of what must not be"),
    ],
)
def test_a_verdict_tells_by_how_much_a_target_is_missed(
    value: float, target: Target, expected: str
) -> None:
    assert verdict(row(value, target)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(12345.6, "12,346", id="thousands"),
        pytest.param(45.67, "45.7", id="tens"),
        pytest.param(0.456, "0.46", id="below one"),
        pytest.param(0.0456, "0.046", id="far below one"),
        pytest.param(-0.456, "-0.46", id="negative"),
    ],
)
def test_a_number_has_the_digits_that_count(value: float, expected: str) -> None:
    assert number(value) == expected


def test_a_bound_is_shown_with_its_unit() -> None:
    assert [bound(at_least(3.0)), bound(at_most(25, Unit.MILLICORES))] == [
        "≥ 3.00 ×",
        "≤ 25.0 mCPU",
    ]


def test_a_line_that_is_not_judged_names_no_target() -> None:
    told = line(row(0.5), is_judged=False)

    assert "target" not in told
    assert "0.50 ×" in told
    assert "by CPU 0.40 ×" in told


def test_a_line_that_is_judged_names_target_and_verdict() -> None:
    assert "target ≥ 1.00 ×: missed by 50%" in line(row(0.5), is_judged=True)
