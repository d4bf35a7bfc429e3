"""Which of the two is taken, and that they cannot be told apart by what they offer."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import moorline_sidecar.hot
import pytest

from tests.sidecar.commands import FREE_PORTS, config_file, environ, started
from tests.sidecar.serving import MEMORY

CHOSEN = "from moorline_sidecar.hot import chosen; print(chosen.__name__.rpartition('.')[2])"


def chosen(**environment: str) -> str:
    """The name of the module that a process takes which is started in this environment."""
    command = (sys.executable, "-c", CHOSEN)
    return subprocess.check_output(command, env=environ(**environment), text=True).strip()


def test_each_has_all_that_is_chosen(implementation: ModuleType) -> None:
    names = {name for name in moorline_sidecar.hot.__all__ if not name.isupper()}

    assert names - vars(implementation).keys() == set()


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, "_compiled", id="nothing is said"),
        pytest.param({"MOORLINE_PURE_PYTHON": "0"}, "_compiled", id="0"),
        pytest.param({"MOORLINE_PURE_PYTHON": "1"}, "plain", id="1"),
    ],
)
def test_what_is_compiled_is_taken_unless_python_is_asked_for(
    environment: dict[str, str], expected: str
) -> None:
    assert chosen(**environment) == expected


def test_python_may_be_asked_for_where_there_is_nothing_else() -> None:
    assert chosen(MOORLINE_PURE_PYTHON="1") == "plain"


@pytest.mark.parametrize("asked", ["0", "1"])
def test_the_log_tells_which_it_is(tmp_path: Path, asked: str) -> None:
    file = config_file(tmp_path, MEMORY)
    env = environ(MOORLINE_PURE_PYTHON=asked)
    with started("serve", "--config", file, *FREE_PORTS, env=env) as process:
        ready = process.wait_for("ready")

        assert ready["compiled"] is (chosen(MOORLINE_PURE_PYTHON=asked) == "_compiled")
