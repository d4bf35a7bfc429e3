"""The single-node cluster from its inside: process 1 of namespaces that are its alone.

Started by `running`, as `python -m e2e.cluster.node CLUSTER DNS IMAGES...`. Processes, mounts,
devices and rules of the firewall are all of these namespaces: whatever ends this process, the
kernel ends and removes them with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from e2e.cluster import places
from e2e.cluster.control_plane import LocalControlPlane, Surroundings
from e2e.cluster.kubelet import node_parts
from e2e.cluster.part import EndedByItself, Part
from e2e.cluster.runtime import Containerd

START_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.05

_WEIGHTS: Final = {"cpu.shares": "10240", "cpu.weight": "1000"}
"""All pods together count as much as ten processes of the machine: it may be busy with others."""

_begun: Final = time.monotonic()

_HIDDEN: Final = ("/run", "/var/lib")
"""Folders that programs write to without being asked; to each its own, which vanishes."""


def run(program: Path, dns: Path, images: Sequence[Path]) -> int:
    """Start everything and stay until a part ends by itself, which none should."""
    folder = places.running()
    _settle(folder)
    runtime = Containerd(folder)
    runtime.part.start()
    _until(lambda: places.has_device(places.NODE_DEVICE), "the cable to this machine")
    _join()
    plane = LocalControlPlane(program, folder / "log", _surroundings())
    plane.start()
    _say(f"the API server is ready at {plane.url}")
    parts = node_parts(program, dns, plane, folder, runtime.socket)
    _until(runtime.is_answering, "containerd")
    for part in parts:
        part.start()
    for archive in images:
        runtime.load(archive)
    _say("the images are loaded")
    # Whoever waits outside has nothing to ask with before.
    plane.kubeconfig.replace(places.kubeconfig())
    started = (runtime.part, plane.etcd, plane.api_server, plane.controllers, *parts)
    return _stay({part.pid: part for part in started})


def _settle(folder: Path) -> None:
    """Make the namespaces a node's; see mount_namespaces(7) about propagation."""
    (folder / "log").mkdir()
    for hidden in _HIDDEN:
        _do("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", hidden)
    # Links to the logs of containers.
    _do("mount", "--bind", str(folder / "log"), "/var/log")
    # What the kubelet mounts has to be seen by containers, and the other way round.
    _do("mount", "--make-rshared", "/")
    for tree in places.control_groups(places.CONTROL_GROUP):
        tree.mkdir(exist_ok=True)
        for weight, value in _WEIGHTS.items():
            if (tree / weight).exists():
                (tree / weight).write_text(value)


def _join() -> None:
    _do("ip", "link", "set", "lo", "up")
    address = f"{places.NODE_ADDRESS}/{places.CABLE_BITS}"
    _do("ip", "address", "add", address, "dev", places.NODE_DEVICE)
    _do("ip", "link", "set", places.NODE_DEVICE, "up")
    _do("ip", "route", "add", "default", "via", places.OUTSIDE_ADDRESS)
    for setting in ("net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"):
        path = Path("/proc/sys") / setting
        if path.exists():
            path.write_text("1")


def _surroundings() -> Surroundings:
    service = "kubernetes.default"
    return Surroundings(
        places.NODE_ADDRESS,
        places.API_PORT,
        places.SERVICES,
        names=(
            places.API_SERVICE_ADDRESS,
            service,
            f"{service}.svc",
            f"{service}.svc.{places.DOMAIN}",
        ),
        flags={"allow-privileged": "true"},
    )


def _stay(parts: dict[int | None, Part]) -> int:
    """Reap what is left to process 1, until one of the parts is what has ended."""
    while True:
        pid, status = os.wait()
        if (part := parts.get(pid)) is not None:
            code = os.waitstatus_to_exitcode(status)
            _say(f"{part.name} ended with status {code}:\n{part.tail()}")
            return 1


def _until(is_reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not there within {START_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def _do(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 - from this file


def _say(line: str) -> None:
    print(f"{time.monotonic() - _begun:4.0f} s  {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the node that the arguments describe."""
    program, dns, *images = (Path(argument) for argument in sys.argv[1:])
    try:
        return run(program, dns, images)
    except (EndedByItself, TimeoutError, subprocess.CalledProcessError) as error:
        _say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
