"""What the hand's pod runs, with the node's processes before it; nothing but the standard library.

    kill CONTAINER            ends every process of the container at once
    freeze POD SECONDS        after 5 s stops the pod and the kubelet, lets the pod go on first

`CONTAINER` is an id of the runtime, `POD` a UID. Ends with another status than 0 if there is
nothing to do it to, or if no process of the pod has come through the frost.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

PROCESSES: Final = Path("/proc")
NOTICE_SECONDS: Final = 5.0
"""So long the kubelet has to tell that this pod runs, which it cannot once it stands still."""
LEAD_SECONDS: Final = 5.0
"""A thawed pod goes on for so long before the kubelet finds out that it should be gone."""


def of_group(part: str, processes: Path = PROCESSES) -> list[int]:
    """The processes whose control group has the text in its path; systemd writes `_` for `-`."""
    found = []
    for process in processes.glob("[0-9]*"):
        with suppress(OSError):
            groups = (process / "cgroup").read_text()
            if part in groups or part.replace("-", "_") in groups:
                found.append(int(process.name))
    return sorted(found)


def kubelets(processes: Path = PROCESSES) -> list[int]:
    """The kubelet is a program of its own, or one that goes by its first argument."""
    found = []
    for process in processes.glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if any(Path(os.fsdecode(word)).name == "kubelet" for word in words[:2]):
                found.append(int(process.name))
    return sorted(found)


def send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def freeze(pod: str, seconds: float) -> None:
    """Stop them, and whatever happens let them go on."""
    time.sleep(NOTICE_SECONDS)
    nodes, pids = kubelets(), of_group(pod)
    if not nodes or not pids:
        sys.exit(f"{len(nodes)} kubelets, {len(pids)} processes of the pod {pod}")
    try:
        send(signal.SIGSTOP, nodes + pids)
        print(f"{len(pids)} processes are frozen", flush=True)
        time.sleep(seconds)
        # The runtime may have killed a probe whose time was up; not all of them.
        has_survived = any((PROCESSES / str(pid)).exists() for pid in pids)
        send(signal.SIGCONT, pids)
        time.sleep(LEAD_SECONDS)
    finally:
        send(signal.SIGCONT, pids + nodes)
    if not has_survived:
        sys.exit("all of them have ended meanwhile")
    print("thawed", flush=True)


def main() -> None:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["kill", container]:
            pids = of_group(container)
            if not pids:
                sys.exit(f"no process of the container {container}")
            send(signal.SIGKILL, pids)
            print(f"{len(pids)} processes are killed", flush=True)
        case ["freeze", pod, seconds]:
            freeze(pod, float(seconds))
        case other:
            sys.exit(f"unknown: {other}")


if __name__ == "__main__":
    main()
