"""A cluster for the scenarios of this folder, and a folder to read where one fails.

What was seen is kept in `e2e-results/`: a folder a scenario, with the logs, objects and Events of a
failed one, and `report.json`.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from moorline_operator.kube.api import Kube

from e2e.cluster import places
from e2e.cluster.lock import locked
from e2e.suite.access import Access
from e2e.suite.artefacts import keep_logs, keep_objects
from e2e.suite.client import connected
from e2e.suite.commands import ROOT, Commands
from e2e.suite.namespace import SHOP, Namespace
from e2e.suite.report import RESULTS, write_report
from e2e.suite.stage import Stage, remove_everything
from e2e.suite.story import Story
from e2e.suite.target import Target, reached

SCENARIO_SECONDS: Final = 900.0
"""For a scenario without its fixtures: the first one's build everything, from nothing in half an
hour, and each of their commands has an end of its own."""

_failed: Final = pytest.StashKey[bool]()
_begun: Final = time.monotonic()


def say(line: str) -> None:
    """A line of progress, at once, whatever pytest does with what tests print."""
    print(f"-- {time.monotonic() - _begun:4.0f} s  {line}", file=sys.__stderr__, flush=True)


def pytest_configure() -> None:
    """Say that no event loop is set; the reason is in tests/conftest.py."""
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every scenario its time."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(SCENARIO_SECONDS, func_only=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have fixtures know, as they are torn down, whether their test or one of them has failed."""
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


@pytest.fixture(scope="session")
def results() -> Iterator[Path]:
    """The folder of this run, the only one on this machine; what was in it before is gone."""
    with locked(places.cache() / "e2e.lock", "another `make e2e` runs", say):
        shutil.rmtree(RESULTS, ignore_errors=True)
        RESULTS.mkdir()
        yield RESULTS


@pytest.fixture(scope="session")
def target(results: Path) -> Iterator[Target]:
    """The cluster; the logs of its pods are kept, and in the end there is a report."""
    with reached(say) as found:
        try:
            with _recorded(found, results):
                yield found
        finally:
            write_report(results, found)
            if found.way == "given":
                say("removing what was made in the cluster")
                asyncio.run(remove_everything(Commands(found.kubeconfig)))


@contextmanager
def _recorded(target: Target, results: Path) -> Iterator[None]:
    # A process of its own: fixtures of a session have no event loop that goes on between tests.
    arguments = (str(target.kubeconfig), str(results / "pods"))
    with (results / "recorder.log").open("wb") as log:
        recorder = subprocess.Popen(
            (sys.executable, "-m", "e2e.suite.recorder", *arguments),
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        recorder.terminate()
        recorder.wait()


@pytest.fixture
async def kube(target: Target) -> AsyncIterator[Kube]:
    """The operator's client, with the rights of the kubeconfig."""
    async with connected(target.kubeconfig) as client:
        yield Kube(client)


@pytest.fixture
async def stage(
    request: pytest.FixtureRequest, target: Target, kube: Kube, results: Path
) -> AsyncIterator[Stage]:
    """The cluster with whatever there is in it; nothing is installed."""
    name = request.path.stem.removeprefix("test_")
    story = Story(name.replace("_", " "), results / name, say)
    access = Access(target, Commands(target.kubeconfig), kube, story)
    yield Stage(access)
    has_failed = request.node.stash.get(_failed, False)
    if has_failed:
        story.say(f"keeping logs, objects and Events in {story.folder}")
        await keep_objects(access)
        keep_logs(access, results / "pods")
    story.end(passed=not has_failed)


@pytest.fixture
async def moorline(stage: Stage) -> Stage:
    """Moorline is installed, and its replicas are ready."""
    await stage.install()
    return stage


@pytest.fixture
async def shop(moorline: Stage) -> Namespace:
    """And the shop is open in the namespace `SHOP`, with three pods."""
    shop = Namespace(moorline.access, SHOP)
    await shop.open_shop()
    return shop
