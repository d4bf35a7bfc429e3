"""Processes that are measured or that measure: pinned to a core, and ended with this one."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.errors import BenchError

START_SECONDS: Final = 60.0
"""For a server to be ready on a machine that does much else."""

POLL_SECONDS: Final = 0.005
STOP_SECONDS: Final = 20.0
HOST: Final = "127.0.0.1"


def pinned(core: int, command: Sequence[str | os.PathLike[str]]) -> list[str]:
    """`command` on one core only, killed if this process dies without having stopped it."""
    prefix = ["setpriv", "--pdeathsig", "KILL", "taskset", "--cpu-list", str(core)]
    return [*prefix, *(os.fspath(part) for part in command)]


@contextlib.contextmanager
def running(
    core: int,
    command: Sequence[str | os.PathLike[str]],
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its output in `log`; terminated afterwards, or killed after 20 s."""
    variables = {**os.environ, **(environment or {})}
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned(core, command),
            env=variables,
            stdout=output,
            stderr=output,
            # Ctrl-C is for this process, which then ends that one in good order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def finished(core: int, command: Sequence[str | os.PathLike[str]], seconds: float) -> str:
    """The output of a command that ends by itself within so many seconds.

    Raises:
        BenchError: it fails, or does not end in time.
    """
    process = subprocess.Popen(
        pinned(core, command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        output, complaint = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{command[0]} did not end within {seconds:.0f} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        last = (complaint or output).strip().splitlines()[-1:]
        raise BenchError(f"{command[0]} failed: {' '.join(last)}")
    return output


def wait_until(
    is_so: Callable[[], bool], process: subprocess.Popen[bytes] | None, log: Path | None, what: str
) -> None:
    """Poll until `is_so`.

    Raises:
        BenchError: the process ended, or a minute went by.
    """
    deadline = time.monotonic() + START_SECONDS
    while not is_so():
        if process is not None and process.poll() is not None:
            told = log.read_text(errors="replace").strip()[-2000:] if log is not None else ""
            raise BenchError(f"{what} has ended: {told}")
        if time.monotonic() > deadline:
            raise BenchError(f"{what} was not ready within {START_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


def is_listening(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True


def is_ready(health_port: int) -> bool:
    """Whether `/readyz` of a sidecar says so."""
    try:
        with socket.create_connection((HOST, health_port), 1) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def cpu_seconds(pid: int) -> float:
    """What the threads of a process have had of a core: proc(5), `schedstat`, in nanoseconds.

    `stat` is sampled a hundred times a second, which is too coarse for a server that sleeps often.
    """
    files = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text(encoding="ascii").split()[0]) for file in files) / 1e9


def resident_bytes(pid: int) -> int:
    """Physical memory of a process; 0 if it is gone."""
    return _memory(pid, "VmRSS:")


def peak_resident_bytes(pid: int) -> int:
    """The most physical memory that a process has ever had; 0 if it is gone."""
    return _memory(pid, "VmHWM:")


def _memory(pid: int, member: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith(member)]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def pin_behind(pid: int, core: int) -> None:
    """Pin a process that was started by others; it has the core when nothing else wants it."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task.name), {core})
            os.sched_setscheduler(int(task.name), os.SCHED_IDLE, os.sched_param(0))
