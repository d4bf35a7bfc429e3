"""A MongoDB-compatible server of one's own, for development and tests: SecantusDB.

It is GPL, and therefore only ever started, as a process of its own; nothing here imports it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from moorline_sidecar.errors import ConfigurationError

START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.02
CONNECT_SECONDS: Final = 0.5
HOST: Final = "127.0.0.1"

# `python -m secantus`, which ends when the other end of its standard input does: however this
# process dies, it leaves no server behind.
_PROGRAM: Final = """
import os, runpy, signal, threading, time
def end_with_parent():
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    # While it starts it may overhear that.
    time.sleep(5)
    os._exit(1)
threading.Thread(target=end_with_parent, daemon=True).start()
runpy.run_module("secantus", run_name="__main__", alter_sys=True)
"""


class EmbeddedServer:
    """A server on the loopback interface that keeps its data in `folder`.

    It can be started again on the same data after `stop` and `kill`, and has the same URI then.
    Whoever does that names a `port` that nobody is given meanwhile; else it is one that the kernel
    gives.
    """

    def __init__(
        self, folder: Path, options: Sequence[str] = (), *, port: int | None = None
    ) -> None:
        self._folder = folder.resolve()
        self._options = tuple(options)
        self._port = _free_port() if port is None else port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"mongodb://{HOST}:{self._port}/"

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process; `is_answering` tells when it is ready.

        Raises:
            ConfigurationError: it is not installed.
        """
        if importlib.util.find_spec("secantus") is None:
            raise ConfigurationError(
                ["the embedded server is not installed; `pip install secantusdb` installs it"]
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            (
                *(sys.executable, "-c", _PROGRAM, "--host", HOST, "--port", str(self._port)),
                *("--storage-path", str(self._folder), "--log-level", "ERROR", *self._options),
            ),
            stdin=subprocess.PIPE,
            # It looks for a configuration of its own in the working folder.
            cwd=self._folder,
            # Ctrl-C is for us: what is unsaved then still has a store to go to.
            start_new_session=True,
        )

    def is_answering(self) -> bool:
        """Whether it takes connections.

        Raises:
            ConfigurationError: it has ended by itself; why is on its standard error.
        """
        if self._process is None or self._process.poll() is not None:
            raise ConfigurationError([f"the embedded server on {self._folder} ended at its start"])
        try:
            socket.create_connection((HOST, self._port), CONNECT_SECONDS).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it in good order, or by force after 10 s."""
        self._end(by_force=False)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(by_force=True)

    def _end(self, *, by_force: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            if by_force:
                process.kill()
                return
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@asynccontextmanager
async def embedded_server(
    folder: Path | None = None, port: int | None = None
) -> AsyncIterator[EmbeddedServer]:
    """A running server; without `folder` its data are gone afterwards.

    Raises:
        ConfigurationError: it is not installed, or does not answer within 15 s.
    """
    with ExitStack() as stack:
        is_kept = folder is not None
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="moorline-")))
        server = EmbeddedServer(folder, port=port)
        server.start()
        try:
            await _until_answering(server)
            yield server
        finally:
            await asyncio.to_thread(server.stop if is_kept else server.kill)


async def _until_answering(server: EmbeddedServer) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not server.is_answering():  # noqa: ASYNC110 - nobody can tell us
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise ConfigurationError(
            [f"the embedded server did not answer within {START_SECONDS:.0f} s"]
        ) from None


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
