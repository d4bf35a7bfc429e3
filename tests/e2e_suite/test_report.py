"""What a run is told as, in docs/e2e.md."""

import msgspec
import pytest

from e2e.app.crowd import Report
from e2e.suite.crowd import report_in
from e2e.suite.report import Run, filled, table
from e2e.suite.story import Row

TWO_CROWDS = Row(
    "scaling",
    seconds=61.6,
    seen=[
        Report(20, logouts=3, slowest_ms=12.4, served={"shop-1": 1000}, workers={"node1": 9}),
        Report(
            5,
            logouts=1,
            slowest_ms=99.6,
            failures=["looks: (502,)"],
            served={"shop-1": 1, "shop-2": 233, "nobody": 1},
            workers={"node0": 2, "node1": 1},
        ),
    ],
    facts=["6 pods after 9 s"],
    passed=True,
)


def test_a_scenario_is_a_line_that_counts_all_its_crowds() -> None:
    assert lines_of(TWO_CROWDS)[-1] == (
        "| scaling | 62 | 20 | 1,235 | 1 | 100 | 4 | 6 pods after 9 s; 2 pods as node0, node1 |"
    )


def test_a_scenario_without_users_has_no_counts() -> None:
    row = Row("purge", seconds=52.4, facts=["300 tombstones"], passed=True)

    assert lines_of(row)[-1] == "| purge | 52 |  |  |  |  |  | 300 tombstones |"


def test_a_failed_scenario_is_marked() -> None:
    assert lines_of(Row("purge"))[-1].startswith("| **failed:** purge |")


def test_what_would_end_a_cell_does_not() -> None:
    (*_, line) = lines_of(Row("purge", facts=["a | b"], passed=True))

    assert line.endswith(r"| a \| b |")


def test_the_table_tells_where_when_and_how_long() -> None:
    rows = [Row("purge", seconds=50, passed=True), Row("scaling", seconds=250, passed=True)]
    run = Run("2026-11-22", "kind", {"Moorline": "0.1.0", "Helm": "3.19.5"}, rows)

    about = table(run).splitlines()[0]

    assert about == ("2026-11-22, kind; Moorline 0.1.0, Helm 3.19.5. 2 scenarios in 5 minutes.")


def test_a_page_is_filled_between_its_comments_and_again() -> None:
    page = "a\n<!-- looks -->\nold\n<!-- end -->\nb\n<!-- other -->\nc\n<!-- end -->\n"
    wanted = "a\n<!-- looks -->\n\nnew\\1\n\n<!-- end -->\nb\n<!-- other -->\nc\n<!-- end -->\n"

    assert filled(page, "looks", r"new\1") == wanted
    assert filled(wanted, "looks", r"new\1") == wanted


def test_a_page_without_the_comments_is_left_alone() -> None:
    with pytest.raises(ValueError, match="looks"):
        filled("a\n<!-- looks -->\n", "looks", "new")


def test_the_report_of_a_crowd_is_the_last_line_that_it_prints() -> None:
    report = Report(2, clicks=7, broken=["12:00:00 user1 is user1, the page says None"])
    printed = f"everybody is in\n{{not this\n{msgspec.json.encode(report).decode()}\n"

    assert report_in(printed) == report


@pytest.mark.parametrize("printed", ["", "everybody is in\n", '{"users": "many"}\n'])
def test_a_crowd_that_is_gone_without_a_report_fails(printed: str) -> None:
    with pytest.raises(AssertionError, match="without a report"):
        report_in(printed)


def lines_of(row: Row) -> list[str]:
    return table(Run("2026-11-22", "own", {}, [row])).splitlines()
