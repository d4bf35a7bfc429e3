"""What holds for every test: nothing is timed, and in CI nothing is skipped."""

import asyncio
import logging
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

# A slow machine must not fail a property: pytest's own time-out ends what hangs.
settings.register_profile(
    "moorline", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
# About five minutes of each property: pytest tests/properties --hypothesis-profile=soak
settings.register_profile("soak", settings.get_profile("moorline"), max_examples=5000)
# A gate judges the change before it: the same examples everywhere. Those who look for more than
# that, `make test` and the profile above, draw others each time.
settings.register_profile("gate", settings.get_profile("moorline"), derandomize=True)

pytest_plugins = ["tests.cluster_fixtures", "tests.stores_fixtures"]

REQUIRE_ALL = os.environ.get("MOORLINE_REQUIRE_ALL") == "1"

settings.load_profile("gate" if REQUIRE_ALL else "moorline")


def pytest_configure() -> None:
    """Say that no event loop is set; pytest-asyncio sets one around each test that has one."""
    # Left unsaid, looptime asks for a loop around other tests, too: asyncio makes one, with a
    # warning since Python 3.12, and nobody closes it.
    asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def _every_logger_speaks() -> Iterator[None]:
    """Fail whoever silences the loggers of the tests after it, some of which read a log."""
    yield
    loggers = logging.root.manager.loggerDict.items()
    silenced = [name for name, logger in loggers if getattr(logger, "disabled", False)]
    for name in silenced:
        logging.getLogger(name).disabled = False
    assert not silenced


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes: where files run side by side, none is left alone."""
    slow = {item.path for item in items if item.get_closest_marker("timeout") is not None}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one when everything is required."""
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but MOORLINE_REQUIRE_ALL=1: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped file into a failed one when everything is required."""
    report = yield
    if REQUIRE_ALL and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, but MOORLINE_REQUIRE_ALL=1: {_reason(report)}"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    return str(report.longrepr)
