"""A cluster for the scenarios of this folder, and a folder to read where one fails.

What was seen is kept in `e2e-results/`: a folder a scenario, with the logs, objects and Events of a
failed one, and `report.json`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Final

import pytest
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from moorline_operator.kube.api import Kube

from e2e.cluster import places
from e2e.cluster.lock import locked
from e2e.suite.artefacts import keep_everything
from e2e.suite.commands import ROOT, Commands
from e2e.suite.report import write_report
from e2e.suite.stage import Stage
from e2e.suite.story import Story
from e2e.suite.target import Target, reached

SHOP: Final = "shop"
_failed: Final = pytest.StashKey[bool]()
_begun: Final = time.monotonic()


def say(line: str) -> None:
    """A line of progress, at once, whatever pytest does with what tests print."""
    print(f"-- {time.monotonic() - _begun:4.0f} s  {line}", file=sys.__stderr__, flush=True)


def pytest_configure() -> None:
    """See the other conftest."""
    asyncio.set_event_loop(None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed
    return report


@pytest.fixture(scope="session")
def results() -> Iterator[Path]:
    """The folder of this run, the only one on this machine; what was in it before is gone."""
    with locked(places.cache() / "e2e.lock", "another `make e2e` runs", say):
        folder = ROOT / "e2e-results"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder


@pytest.fixture(scope="session")
def target(results: Path) -> Iterator[Target]:
    with reached(say) as found:
        environment = {**os.environ, "KUBECONFIG": str(found.kubeconfig)}
        with (results / "recorder.log").open("wb") as log:
            recorder = subprocess.Popen(
                (sys.executable, "-m", "e2e.suite.recorder", str(results / "pods")),
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        try:
            yield found
        finally:
            recorder.terminate()
            recorder.wait()
            write_report(results, found)


@pytest.fixture
def commands(target: Target) -> Commands:
    return Commands(target.kubeconfig)


@pytest.fixture
async def kube(target: Target) -> AsyncIterator[Kube]:
    """The operator's client, with the rights of the kubeconfig."""
    configuration = Configuration()
    configuration.retries = None
    configuration.disable_strict_ssl_verification = True
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        str(target.kubeconfig), client_configuration=configuration
    )
    async with ApiClient(configuration) as client:
        yield Kube(client)


@pytest.fixture
async def stage(
    request: pytest.FixtureRequest, target: Target, commands: Commands, kube: Kube, results: Path
) -> AsyncIterator[Stage]:
    """The cluster with whatever there is in it; nothing is installed."""
    path = request.path
    title = path.stem.removeprefix("test_").replace("_", " ")
    story = Story(title, results / path.stem.removeprefix("test_"), say)
    stage = Stage(target, commands, kube, story)
    yield stage
    has_failed = request.node.stash.get(_failed, False)
    if has_failed:
        say(f"{title}: keeping logs, objects and Events in {story.folder}")
        await keep_everything(commands, story.folder, results / "pods")
    story.end(passed=not has_failed)


@pytest.fixture
async def moorline(stage: Stage) -> Stage:
    """Moorline is installed, and its replicas are ready."""
    await stage.install()
    return stage


@pytest.fixture
async def shop(moorline: Stage) -> Stage:
    """And the shop is open in the namespace `SHOP`, with three pods."""
    await moorline.open_shop(SHOP)
    return moorline
