"""Real `moorline-sidecar serve` processes for tests: started, waited for, ended by process id."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from msgspec import Struct

from e2e.ports import free_port

START_SECONDS: Final = 30.0
"""A process is ready in less than one; the machine may be busy."""

POLL_SECONDS: Final = 0.02


class Sidecar(Struct, frozen=True):
    """A running process and where its listeners are; `log` is its stderr, growing."""

    process: subprocess.Popen[bytes]
    worker: str
    port: int
    health_port: int
    ops_port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def health_url(self) -> str:
        return f"http://127.0.0.1:{self.health_port}"

    @property
    def ops_url(self) -> str:
        return f"http://127.0.0.1:{self.ops_port}"

    def kill(self) -> None:
        """End the process as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 20.0) -> int:
        """End the process in good order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)


@contextlib.contextmanager
def running_sidecar(  # noqa: PLR0913 each is a fact of its own
    folder: Path,
    worker: str,
    uri: str | None,
    *,
    spec: Mapping[str, Any] | None = None,
    collection: str = "sessions",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Sidecar]:
    """A ready process on free ports; with `uri` None on an embedded store of its own (`--dev`)."""
    mongodb = {"type": "MongoDB", "mongodb": {"collection": collection}}
    backend = {} if uri is None else {"backend": mongodb}
    configuration = folder / f"{worker}.json"
    configuration.write_text(
        json.dumps(
            {"cluster": {"name": "shop", "namespace": "web"}, "spec": {**backend, **(spec or {})}}
        )
    )
    ports = free_port(), free_port(), free_port()
    command = [sys.executable, "-m", "moorline_sidecar", "serve", "--config", str(configuration)]
    for option, port in zip(("--listen", "--health", "--ops"), ports, strict=True):
        command += [option, f"127.0.0.1:{port}"]
    variables = {**os.environ, "MOORLINE_WORKER": worker, **(environment or {})}
    if uri is None:
        command.append("--dev")
    else:
        variables["MOORLINE_BACKEND_URI"] = uri
    log = folder / f"{worker}.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, env=variables, stdout=stderr, stderr=stderr)
        try:
            sidecar = Sidecar(process, worker, *ports, log)
            _wait_until_ready(sidecar)
            yield sidecar
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def wait_until(condition: Any, seconds: float = 20.0, what: str = "it did not happen") -> None:  # noqa: ANN401 any callable
    """Poll a condition up to a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(POLL_SECONDS)


def _wait_until_ready(sidecar: Sidecar) -> None:
    def is_ready() -> bool:
        assert sidecar.process.poll() is None, sidecar.log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", sidecar.health_port), 1) as connection:
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    wait_until(is_ready, START_SECONDS, "the sidecar is not ready")


class Client:
    """One user's adapter: it carries the hint of the last answer from worker to worker."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.hint: str | None = None

    async def call(
        self,
        sidecar: Sidecar,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> "Answer":
        """The answer; `path` begins after `/v1`."""
        sent = dict(headers or {})
        if self.hint is not None:
            sent.setdefault("Moorline-Hint", self.hint)
        async with self._http.request(
            method, f"{sidecar.url}/v1{path}", json=body, headers=sent
        ) as response:
            text = await response.read()
            self.hint = response.headers.get("Moorline-Hint", self.hint)
            content = json.loads(text) if text else None
            return Answer(response.status, response.headers.copy(), content)


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    headers: Any
    body: Any
