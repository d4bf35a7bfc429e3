"""The single-node cluster from its outside: how it is started, reached, watched and ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from e2e.cluster import places

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.1
ROOT: Final = Path(__file__).resolve().parents[2]

_APART: Final = (
    *("unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child"),
    *("--mount-proc", "--propagation=private"),
)


class CannotRun(Exception):
    """The machine lacks something, or a part did not start; the text says which."""


def process() -> int | None:
    """The id of the running node's first process, if there is one."""
    try:
        pid, began = json.loads(_record().read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if _began(pid) == began else None


def start(program: Path, dns: Path, images: Sequence[Path]) -> None:
    """Start the node, and wait until it runs pods.

    Raises:
        CannotRun: see there; nothing is left behind.
    """
    stop()
    folder = places.running()
    folder.mkdir(parents=True, mode=0o700)
    arguments = [str(path) for path in (program, dns, *images)]
    with (folder / "node.log").open("wb") as log:
        outer = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            (*_APART, sys.executable, "-m", "e2e.cluster.node", *arguments),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _record().write_text(json.dumps([outer.pid, _began(outer.pid)]))
        _plug_in(_inner(outer.pid))
        _wait_for_node(outer)
    except BaseException:
        stop()
        raise


def stop() -> None:
    """End the node if it runs, and remove what it had outside of its namespaces: files."""
    if (pid := process()) is not None:
        inner = _children(pid)
        for one in (*inner, pid):
            with suppress(ProcessLookupError):
                os.kill(one, 9)
        _until_gone((*inner, pid))
    places.remove_control_group(places.CONTROL_GROUP)
    shutil.rmtree(places.running(), ignore_errors=True)


def kubectl(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run kubectl as the cluster's administrator."""
    return subprocess.run(  # noqa: S603 - found on the path on purpose
        ("kubectl", f"--kubeconfig={places.kubeconfig()}", *arguments),  # noqa: S607 - as above
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def _record() -> Path:
    return places.running() / "process.json"


def _began(pid: int) -> str | None:
    """When a process began, which tells it from a later one of the same id; see proc(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        return None


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except FileNotFoundError:
        return []


def _inner(outer: int) -> int:
    """The process that is the first of the namespaces."""
    deadline = time.monotonic() + STOP_SECONDS
    while not (children := _children(outer)):
        if time.monotonic() > deadline or _began(outer) is None:
            raise CannotRun(f"`{' '.join(_APART)}` does not work here, see {places.running()}")
        time.sleep(POLL_SECONDS)
    return children[0]


def _plug_in(inner: int) -> None:
    """Lay the cable; it vanishes with the namespace at its other end, and so do its routes."""
    device = places.OUTSIDE_DEVICE
    address = f"{places.OUTSIDE_ADDRESS}/{places.CABLE_BITS}"
    peer = ("peer", "name", places.NODE_DEVICE, "netns", str(inner))
    _ip("link", "add", device, "type", "veth", *peer)
    _ip("address", "add", address, "dev", device)
    _ip("link", "set", device, "up")
    for network in (places.SERVICES, places.PODS):
        _ip("route", "add", network, "via", places.NODE_ADDRESS)


def _ip(*arguments: str) -> None:
    answer = subprocess.run(("ip", *arguments), capture_output=True, text=True, check=False)  # noqa: S603, S607 - found on the path on purpose
    if answer.returncode:
        raise CannotRun(f"ip {' '.join(arguments)}: {answer.stderr.strip()}")


def _wait_for_node(outer: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        log = (places.running() / "node.log").read_text()
        if outer.poll() is not None:
            raise CannotRun(f"the node has ended:\n{log}")
        if time.monotonic() > deadline:
            raise CannotRun(f"the node was not ready within {START_SECONDS:.0f} s:\n{log}")
        time.sleep(POLL_SECONDS)


def is_ready() -> bool:
    """Whether the node's kubelet says that it runs pods."""
    if not places.kubeconfig().exists():
        return False
    answer = kubectl("get", "node", places.NODE, "--output=json")
    if answer.returncode:
        return False
    node: dict[str, Any] = json.loads(answer.stdout)
    conditions = node.get("status", {}).get("conditions", ())
    is_tainted = bool(node["spec"].get("taints"))
    return not is_tainted and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


def _until_gone(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while any(_is_alive(pid) for pid in pids) or _has_cable():
        if time.monotonic() > deadline:
            raise CannotRun(f"processes {pids} do not end")
        time.sleep(POLL_SECONDS)


def _is_alive(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return _began(pid) is not None


def _has_cable() -> bool:
    return Path("/sys/class/net", places.OUTSIDE_DEVICE).exists()
