from pathlib import Path

import pytest
from msgspec import structs

from bench.figures import Figure
from bench.plots import draw_curves, draw_ratios, standing
from bench.report import BEGIN, END, PAGE, further, measured, replaced, table
from bench.results import Absence, Curve, Target, at_least, at_most, keep, kept
from tests.bench.rows import row, run

CURVE = Curve(
    what="L1 hit",
    quantity="cached sessions",
    unit="µs",
    points=[(1_000, Figure(20, 19, 21)), (10_000, Figure(22, 20, 23))],
)


def test_a_kept_run_is_read_as_it_was(tmp_path: Path) -> None:
    before = run(row(0.5), row(2, at_most(3.0)))

    assert kept(keep(before, tmp_path)) == kept(tmp_path / "full.json")
    assert list(kept(tmp_path / "full.json").rows) == list(before.rows)


def test_only_what_is_between_the_markers_is_written_anew() -> None:
    page = f"# Title\n{BEGIN}\nold\n{END}\n\nafter\n"

    assert replaced(page, "new\n") == f"# Title\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"


def test_writing_anew_twice_changes_nothing() -> None:
    once = replaced(f"{BEGIN}\n{END}", "new\n")

    assert replaced(once, "new\n") == once


def test_a_page_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="markers"):
        replaced("# Title\n", "new")


def test_the_page_has_its_markers() -> None:
    page = PAGE.read_text()

    assert page.count(BEGIN) == page.count(END) == 1


def test_the_table_has_a_line_for_each_row() -> None:
    lines = table([row(2.0), row(0.5)]).splitlines()

    assert len(lines) == 4
    assert lines[2].endswith("| 0.40 × | met |")
    assert lines[3].endswith("| 0.40 × | missed by 50% |")
    assert {text.count("|") for text in lines} == {7}


def test_what_was_not_measured_is_named() -> None:
    absent = [Absence("hits", "cc is not installed")]
    without = measured(structs.replace(run(row(2.0)), absent=absent), Path("full.json"))

    assert "Not measured: hits, because cc is not installed." in without
    assert "1 of 1 targets were met" in without


def test_of_a_long_run_is_shown_what_goes_further() -> None:
    longer = structs.replace(CURVE, what="miss", points=[*CURVE.points, (1e6, Figure(24, 21, 25))])
    before = structs.replace(run(), curves=[CURVE, structs.replace(CURVE, what="miss")])

    text = further(structs.replace(run(row(0.5)), curves=[CURVE, longer]), before)

    assert "1,000,000: 24.0 (21.0 to 25.0)" in text
    assert "L1 hit |" not in text
    assert "missed by 50%" in text


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [
        pytest.param(at_least(2.0), 1.0, 0.5, id="half of a lower bound"),
        pytest.param(at_most(2.0), 1.0, 2.0, id="half of an upper bound"),
    ],
)
def test_more_than_one_is_better_than_the_target(
    target: Target, value: float, expected: float
) -> None:
    assert standing(row(value, target), value) == expected


def test_plots_are_pictures(tmp_path: Path) -> None:
    files = tmp_path / "ratios.png", tmp_path / "growth.png"
    draw_ratios([row(0.5), row(2.0)], files[0])
    draw_curves([CURVE, CURVE, CURVE], files[1])

    assert [file.read_bytes()[:4] for file in files] == [b"\x89PNG"] * 2


def test_without_curves_there_is_no_plot(tmp_path: Path) -> None:
    draw_curves([], tmp_path / "growth.png")

    assert list(tmp_path.iterdir()) == []
