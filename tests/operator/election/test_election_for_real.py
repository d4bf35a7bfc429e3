"""Leaders in processes of their own, at a real API server: who acted when."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from moorline_operator.election import elapsed

from tests.operator.control_plane import ControlPlane
from tests.operator.election import candidate
from tests.operator.election.candidate import DURATION, FAILED, LEASE, LOST

DEADLINE_SECONDS: Final = 60.0


class Office:
    """Candidates for one Lease, and what they did."""

    def __init__(self, control_plane: ControlPlane, namespace: str, folder: Path) -> None:
        self._control_plane = control_plane
        self._namespace = namespace
        self._folder = folder
        self._history = folder / "history"
        self._history.touch()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *how: str) -> subprocess.Popen[bytes]:
        command = (candidate.__file__, self._namespace, str(self._history), name, *how)
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                (sys.executable, *command),
                env={**os.environ, "KUBECONFIG": str(self._control_plane.kubeconfig)},
                stdout=log,
                stderr=log,
            )
        self.processes[name] = process
        return process

    def lead(self, name: str, *how: str) -> subprocess.Popen[bytes]:
        """Start it and wait until it acts."""
        process = self.start(name, *how)
        self.until(lambda: name in self.acts())
        return process

    def acts(self) -> dict[str, list[float]]:
        """When each of them acted, by one clock."""
        found: dict[str, list[float]] = {}
        for line in self._history.read_text().splitlines():
            name, at = line.split()
            found.setdefault(name, []).append(float(at))
        return found

    def check(self) -> None:
        """Nobody began before the one before had ended."""
        reigns = sorted((min(times), max(times), name) for name, times in self.acts().items())
        for (_, ended, first), (began, _, second) in itertools.pairwise(reigns):
            assert began > ended, f"{second} acted beside {first}: {reigns}"

    def holder(self) -> str:
        get = ("get", "lease", LEASE, f"--namespace={self._namespace}", "--output=json")
        spec = json.loads(self._control_plane.kubectl(*get))["spec"]
        holder: str = spec.get("holderIdentity", "")
        return holder

    def until(self, is_reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not is_reached():
            assert time.monotonic() < deadline, self._logs()
            time.sleep(0.05)

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _logs(self) -> str:
        return "\n".join(log.read_text() for log in self._folder.glob("*.log"))


@pytest.fixture
def office(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Office]:
    """Checked at its end: two never acted at once."""
    office = Office(control_plane, namespace, tmp_path)
    try:
        yield office
    finally:
        office.close()
    office.check()


def test_a_leader_that_was_frozen_for_longer_than_the_lease_does_nothing_any_more(
    office: Office,
) -> None:
    frozen = office.lead("a")
    office.start("b")
    frozen.send_signal(signal.SIGSTOP)
    office.until(lambda: "b" in office.acts())
    thawed_at = elapsed()
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(DEADLINE_SECONDS) == LOST
    assert max(office.acts()["a"]) < thawed_at
    assert office.holder() == "b"


def test_an_api_server_that_is_away_for_longer_than_the_lease_ends_the_leader(
    office: Office, control_plane: ControlPlane
) -> None:
    first = office.lead("a")
    office.start("b")
    control_plane.stop_api_server()
    try:
        assert first.wait(DEADLINE_SECONDS) == LOST
        stopped_at = max(office.acts()["a"])
        office.until(lambda: elapsed() > stopped_at + DURATION)
    finally:
        control_plane.start_api_server()
    office.until(lambda: "b" in office.acts())


def test_a_leader_whose_work_failed_ends_and_gives_the_lease_back(office: Office) -> None:
    assert office.lead("a", "mortal", "patient").wait(DEADLINE_SECONDS) == FAILED
    assert office.holder() == ""
    office.lead("b")


def test_a_leader_that_is_told_to_end_gives_the_lease_back(office: Office) -> None:
    first = office.lead("a", "patient")
    first.send_signal(signal.SIGTERM)
    assert first.wait(DEADLINE_SECONDS) == 0
    assert office.holder() == ""


def test_a_leader_that_is_killed_is_followed_by_one_of_many(office: Office) -> None:
    first = office.lead("a")
    for name in "bcd":
        office.start(name)
    first.kill()
    office.until(lambda: len(office.acts()) > 1)
    assert len(office.acts()) == 2
