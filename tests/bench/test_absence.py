import pytest

from bench.__main__ import absence_of
from bench.errors import BenchError, ProgramNotBuilt, ToolMissing
from bench.results import Absence


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            ToolMissing("cc", "gcc libc6-dev"),
            Absence(
                "g",
                "cc is not installed; on Debian and Ubuntu: apt install gcc libc6-dev",
                is_for_tool=True,
            ),
            id="a missing program",
        ),
        pytest.param(
            ProgramNotBuilt("helm"),
            Absence("g", "helm is not built: `make cluster` builds it, with Go", is_for_tool=True),
            id="a program that was not built",
        ),
        pytest.param(BenchError("a sentence"), Absence("g", "a sentence"), id="expected"),
        pytest.param(
            ExceptionGroup("", [ExceptionGroup("", [BenchError("inner")])]),
            Absence("g", "inner"),
            id="in a group",
        ),
        pytest.param(KeyError("name"), Absence("g", "KeyError: 'name'"), id="unexpected"),
    ],
)
def test_what_was_not_measured_says_why(error: Exception, expected: Absence) -> None:
    assert absence_of("g", error) == expected
