"""The domain reads no clock, and only the command line reads the environment."""

import ast
from pathlib import Path

import pytest

from tests.architecture.source import SIDECAR, dotted, imported, modules, name_of, parse

CLOCK_MODULES = {"time", "asyncio", "sched"}
# The last names of calls that answer with the present moment, whoever they are called on.
CLOCK_CALLS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "uuid1", "uuid7"}
# Of these the ones that do so when they are called without the moment to format.
CLOCK_FORMATS = {"formatdate", "localtime", "gmtime", "ctime"}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb"}
# The command line; and what is chosen for the whole process while it is imported, before there is
# a configuration: between C and Python.
READERS_OF_THE_ENVIRONMENT = {SIDECAR / "__main__.py", SIDECAR / "hot" / "__init__.py"}


def clock_reads(tree: ast.Module) -> set[str]:
    """What in a module reads a clock: imports and calls, by name."""
    reads = {name for name in imported(tree) if name.partition(".")[0] in CLOCK_MODULES}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = dotted(node.func).rpartition(".")[2]
            if called in CLOCK_CALLS or (called in CLOCK_FORMATS and not node.args):
                reads.add(called)
    return reads


def environment_reads(tree: ast.Module) -> set[str]:
    """What in a module reads the environment, by name."""
    names = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return (names | imported(tree)) & ENVIRONMENT


@pytest.mark.parametrize(
    "path", [*modules(SIDECAR / "domain"), *modules(SIDECAR / "hot")], ids=name_of
)
def test_the_domain_reads_no_clock(path: Path) -> None:
    assert clock_reads(parse(path)) == set()


@pytest.mark.parametrize(
    "path",
    [path for path in modules(SIDECAR) if path not in READERS_OF_THE_ENVIRONMENT],
    ids=name_of,
)
def test_only_the_command_line_reads_the_environment(path: Path) -> None:
    assert environment_reads(parse(path)) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("import time", {"time"}, id="module"),
        pytest.param("from time import monotonic", {"time.monotonic"}, id="name"),
        pytest.param("datetime.now(tz=UTC)", {"now"}, id="class"),
        pytest.param("datetime.date.today()", {"today"}, id="module.class"),
        pytest.param("formatdate()", {"formatdate"}, id="present"),
        pytest.param("formatdate(0)", set(), id="given"),
        pytest.param("def is_due(now: int) -> bool: return now > 0", set(), id="argument"),
    ],
)
def test_a_clock_read_is_seen(source: str, found: set[str]) -> None:
    assert clock_reads(ast.parse(source)) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("os.environ['HOME']", {"os.environ"}, id="mapping"),
        pytest.param("os.getenv('HOME')", {"os.getenv"}, id="call"),
        pytest.param("from os import environ", {"os.environ"}, id="name"),
        pytest.param("os.path.join('a')", set(), id="other"),
    ],
)
def test_a_read_of_the_environment_is_seen(source: str, found: set[str]) -> None:
    assert environment_reads(ast.parse(source)) == found
