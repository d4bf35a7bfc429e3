"""The sidecars of a cluster under fire, each behind a link of its own."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
from msgspec import Struct

from e2e.ports import free_port
from tests.faults.link import Link

START_SECONDS: Final = 60.0
"""For a process to be ready on a machine that does much else."""

POLL_SECONDS: Final = 0.03
STOP_SECONDS: Final = 20.0
NOTHING_MORE: Final = 3
"""Descriptors have numbers below the limit, and the first three are always taken."""

ROOT: Final = Path(__file__).parents[2]


class Given(Struct, frozen=True):
    """What a sidecar is started with; `uri` is empty where there is no server."""

    spec: Mapping[str, Any]
    uri: str
    mutation: str


class Worker:
    """A sidecar that can be killed and started again, on the same ports."""

    def __init__(self, folder: Path, name: str, link: Link, given: Given) -> None:
        self.name = name
        self.link = link
        self.life = 0
        self._given = given
        self.port = self.health_port = self.ops_port = 0
        self.log = folder / f"{name}.log"
        self._config = folder / f"{name}.json"
        self._config.write_text(
            json.dumps({"cluster": {"name": "shop", "namespace": "web"}, "spec": given.spec})
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self, steps: Sequence[tuple[float, float]]) -> None:
        """Start a new life, on a node whose clock is off by these steps."""
        # Two of them would serve in turn, and one would live on unseen.
        self.kill()
        self.life += 1
        # Others may have got those of the last life meanwhile.
        self.port, self.health_port, self.ops_port = (free_port() for _ in range(3))
        asked = json.dumps({"steps": list(steps), "mutation": self._given.mutation})
        command = [sys.executable, "-m", "tests.faults.skewed_sidecar", asked]
        command += ["serve", "--config", str(self._config)]
        ports = {"listen": self.port, "health": self.health_port, "ops": self.ops_port}
        command += [f"--{name}=127.0.0.1:{port}" for name, port in ports.items()]
        variables = {
            **os.environ,
            "MOORLINE_WORKER": self.name,
        }
        if self._given.uri:
            variables["MOORLINE_BACKEND_URI"] = self._given.uri
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=variables, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

    async def until_ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until requests are welcome.

        Raises:
            RuntimeError: it has ended; why is in its log.
        """
        url = f"http://127.0.0.1:{self.health_port}/readyz"
        async with asyncio.timeout(START_SECONDS):
            while True:
                if self.pid is None:
                    raise RuntimeError(f"{self.name} has ended: see {self.log}")
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(url, timeout=aiohttp.ClientTimeout(1)) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self, *, is_frozen: bool) -> None:
        _freeze(self.pid, is_frozen=is_frozen)

    def limit_descriptors(self, *, is_limited: bool) -> None:
        """Let it open nothing more than it has open, or as much as it could at first."""
        pid = self.pid
        if pid is None:
            return
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            most = NOTHING_MORE if is_limited else hard
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))

    def stop(self) -> int | None:
        """End it in good order; its exit code, None if it does not end."""
        if self._process is None:
            return None
        self._process.terminate()
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return None


def _freeze(pid: int | None, *, is_frozen: bool) -> None:
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP if is_frozen else signal.SIGCONT)
