"""The servers that are measured, each started on a core of its own choosing and stopped again."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from moorline_sidecar.stores.embedded import EmbeddedServer
from msgspec import Struct

from bench.clients.connection import tls_address
from bench.errors import ToolMissing
from bench.processes import (
    HOST,
    is_listening,
    is_ready,
    pin_behind,
    running,
    wait_until,
)
from bench.settings import Settings
from e2e.cluster.authority import Authority
from e2e.ports import free_port

WORKER: Final = "node1"
PEERS: Final = Path(__file__).parent / "peers"


class Server(Struct, frozen=True):
    """A running server; `port` takes its requests."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


class Sidecar(Server, frozen=True):
    """A running `moorline-sidecar serve` and its other listeners."""

    health_port: int
    ops_port: int
    socket: Path


@contextlib.contextmanager
def store(settings: Settings, name: str = "store") -> Iterator[EmbeddedServer]:
    """The embedded MongoDB-compatible server, empty, on the core of the load."""
    server = EmbeddedServer(settings.folder / name)
    server.start()
    try:
        if server.pid is not None:
            # A load generator that waits for the store would count its waiting as an answer's.
            pin_behind(server.pid, settings.cores.load)
        wait_until(server.is_answering, None, None, "the embedded store")
        yield server
    finally:
        server.kill()
        shutil.rmtree(settings.folder / name, ignore_errors=True)


@contextlib.contextmanager
def sidecar(
    settings: Settings,
    uri: str | None,
    *,
    collection: str = "sessions",
    spec: Mapping[str, Any] | None = None,
    worker: str = WORKER,
) -> Iterator[Sidecar]:
    """A ready sidecar on the core of the servers; without `uri` it has a store in memory."""
    ports = free_port(), free_port(), free_port()
    name = f"sidecar-{ports[0]}"
    socket = settings.folder / f"{name}.sock"
    configuration = write_configuration(settings, name, uri, collection, spec)
    command = [*sidecar_command(settings), "serve", "--config", str(configuration)]
    for option, port in zip(("--listen", "--health", "--ops"), ports, strict=True):
        command += [option, f"{HOST}:{port}"]
    log = settings.folder / f"{name}.log"
    variables = sidecar_environment(uri, worker) | {"MOORLINE_SOCKET": str(socket)}
    with running(settings.cores.server, command, log, variables) as process:
        wait_until(partial(is_ready, ports[1]), process, log, "the sidecar")
        yield Sidecar(process, *ports, socket)


def sidecar_command(settings: Settings) -> list[str]:
    return [str(settings.sidecar_python), "-m", "moorline_sidecar"]


def sidecar_environment(uri: str | None, worker: str = WORKER) -> dict[str, str]:
    return {"MOORLINE_WORKER": worker, **({} if uri is None else {"MOORLINE_BACKEND_URI": uri})}


def write_configuration(
    settings: Settings,
    name: str,
    uri: str | None,
    collection: str,
    spec: Mapping[str, Any] | None,
) -> Path:
    """The file that `--config` takes; what `spec` does not say is at its default."""
    mongodb = {"type": "MongoDB", "mongodb": {"collection": collection}}
    backend = {"type": "Memory"} if uri is None else mongodb
    written = {"backend": backend, "sidecar": {"socket": True}, **(spec or {})}
    file = settings.folder / f"{name}.json"
    file.write_text(json.dumps({"cluster": {"name": "bench"}, "spec": written}))
    return file


@contextlib.contextmanager
def redis(settings: Settings) -> Iterator[Server]:
    """redis-server, one thread, nothing written to disk."""
    program = tool("redis-server", "redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
    log = settings.folder / f"redis-{port}.log"
    with running(settings.cores.server, command, log) as process:
        wait_until(partial(is_listening, port), process, log, "redis-server")
        yield Server(process, port)


@contextlib.contextmanager
def peer(settings: Settings, name: str, body: bytes) -> Iterator[Server]:
    """`peers/<name>.py`, which answers with `body`."""
    port = free_port()
    file = settings.folder / "body.json"
    file.write_bytes(body)
    log = settings.folder / f"{name}-{port}.log"
    command = [sys.executable, str(PEERS / f"{name}.py"), str(port), str(file)]
    with running(settings.cores.server, command, log) as process:
        wait_until(partial(is_listening, port), process, log, name)
        yield Server(process, port)


@contextlib.contextmanager
def tls_peer(settings: Settings, name: str, body: bytes) -> Iterator[tuple[Server, str]]:
    """As `peer`, over TLS; and where it is, for a client."""
    port = free_port()
    file = settings.folder / "answer.json"
    file.write_bytes(body)
    authority = Authority(settings.folder)
    pair = authority.server(name, ("localhost",))
    log = settings.folder / f"{name}-{port}.log"
    command = [sys.executable, str(PEERS / f"{name}.py"), str(port), str(file)]
    command += [str(pair.certificate), str(pair.key)]
    with running(settings.cores.server, command, log) as process:
        wait_until(partial(is_listening, port), process, log, name)
        yield Server(process, port), tls_address(port, "localhost", authority.files.certificate)


def tool(program: str, package: str) -> str:
    """Where a program of the system is.

    Raises:
        ToolMissing: nowhere.
    """
    found = shutil.which(program)
    if found is None:
        raise ToolMissing(program, package)
    return found
