"""What is asked of the machine, and what is left on it."""

import json
import multiprocessing
import os
import sys
import threading
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from e2e.cluster import places, running
from e2e.cluster.lock import locked
from e2e.cluster.machine import PACKAGES, PLUGINS, lacking

PATIENCE_SECONDS = 30.0
BOOKWORM = {"ID": "debian", "VERSION_ID": "12"}
TRIXIE = {"ID": "debian", "VERSION_ID": "13"}
NOBLE = {"ID": "ubuntu", "VERSION_ID": "24.04"}
UNKNOWN: dict[str, str] = {}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return places.cache()


@pytest.mark.parametrize("program", PACKAGES)
def test_the_package_of_a_missing_program_is_named(program: str) -> None:
    def which(name: str) -> str | None:
        return None if name == program else f"/usr/bin/{name}"

    assert lacking(which, has_plugins=True, has_client=True, release=BOOKWORM) == [
        PACKAGES[program]
    ]


def test_a_machine_that_has_everything_lacks_nothing() -> None:
    def which(name: str) -> str:
        return f"/usr/bin/{name}"

    assert lacking(which, has_plugins=True, has_client=True, release=BOOKWORM) == []
    assert lacking(which, has_plugins=False, has_client=True, release=BOOKWORM) == [PLUGINS]


@pytest.mark.parametrize(
    ("release", "packages"),
    [
        pytest.param(BOOKWORM, ["docker.io"], id="in-the-daemon's-package"),
        pytest.param(TRIXIE, ["docker-buildx", "docker-cli"], id="in-packages-of-its-own"),
        pytest.param(NOBLE, ["docker-buildx", "docker.io"], id="plugin-apart"),
        pytest.param(UNKNOWN, ["docker-buildx", "docker.io"], id="another-system"),
    ],
)
def test_a_client_that_builds_is_in_other_packages_of_other_releases(
    release: dict[str, str], packages: list[str]
) -> None:
    def which(name: str) -> str:
        return f"/usr/bin/{name}"

    assert lacking(which, has_plugins=True, has_client=False, release=release) == packages


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[1", id="cut-off"),
        pytest.param(json.dumps([os.getpid(), "1"]), id="another-process-of-that-id"),
        pytest.param(json.dumps([2**22 + 1, "1"]), id="no-process-of-that-id"),
    ],
)
def test_a_stale_record_is_no_running_node(cache: Path, text: str) -> None:
    (cache / "node").mkdir(parents=True)
    (cache / "node" / "process.json").write_text(text)

    assert running.process() is None


def test_no_record_is_no_running_node(cache: Path) -> None:
    assert not cache.exists()
    assert running.process() is None


def test_kubectl_beside_this_python_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert running.find_kubectl() == str(Path(sys.executable).parent / "kubectl")


def test_a_control_group_goes_with_those_below_it(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    for pod in ("one", "two"):
        (tmp_path / "group" / "pods" / pod).mkdir(parents=True)
    (tmp_path / "another").mkdir()

    places.remove_control_group("group", tmp_path)
    places.remove_control_group("group", tmp_path)

    assert not (tmp_path / "group").exists()
    assert (tmp_path / "another").exists()


def test_a_control_group_that_is_busy_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    process = tmp_path / "group" / "pod" / "process"
    process.parent.mkdir(parents=True)
    process.touch()
    late = threading.Timer(0.1, process.unlink)
    late.start()

    places.remove_control_group("group", tmp_path, seconds=PATIENCE_SECONDS)
    late.join()

    assert not (tmp_path / "group").exists()


def test_a_control_group_that_stays_busy_is_told(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    (tmp_path / "group" / "pod").mkdir(parents=True)
    (tmp_path / "group" / "pod" / "process").touch()

    with pytest.raises(OSError, match="not empty"):
        places.remove_control_group("group", tmp_path, seconds=0.0)


def test_a_lock_is_for_one_and_then_for_the_next(tmp_path: Path) -> None:
    order: list[str] = []
    trying = threading.Event()

    def next_one() -> None:
        trying.set()
        with locked(tmp_path / "folder" / "lock", "busy", order.append):
            order.append("next")

    with locked(tmp_path / "folder" / "lock", "busy", order.append):
        thread = threading.Thread(target=next_one)
        thread.start()
        assert trying.wait(PATIENCE_SECONDS)
        order.append("first")
    thread.join(PATIENCE_SECONDS)

    assert order == ["first", "next"]


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    context = multiprocessing.get_context("spawn")
    has_it = context.Event()
    process = context.Process(target=_hold, args=(path, has_it))
    process.start()
    assert has_it.wait(PATIENCE_SECONDS)

    process.kill()
    process.join(PATIENCE_SECONDS)

    with locked(path, "busy", print):
        assert process.exitcode is not None


def _hold(path: Path, has_it: Event) -> None:
    with locked(path, "busy", print):
        has_it.set()
        threading.Event().wait(PATIENCE_SECONDS)
