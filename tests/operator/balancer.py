"""What a Service is to the API server: connections go to replicas that are ready."""

import asyncio
import contextlib
import itertools
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Final

PROBE_SECONDS: Final = 0.2
CHUNK_BYTES: Final = 1 << 16


class Balancer:
    """Forwards each connection on `host` and `port` to the next target that was ready of late.

    A target is `(port, health port)` on 127.0.0.1. As with a Service, a connection that is there
    stays where it is when its target is no longer ready.
    """

    def __init__(self, host: str, targets: Sequence[tuple[int, int]]) -> None:
        self.host = host
        self._targets = targets
        self._ready: set[int] = set()
        self._turns = itertools.count()
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    @property
    def ready(self) -> frozenset[int]:
        """The ports of the targets that were ready when last probed."""
        return frozenset(self._ready)

    @contextlib.contextmanager
    def running(self) -> Iterator["Balancer"]:
        self._thread.start()
        assert self._listening.wait(10)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        probing = asyncio.create_task(self._probe())
        await self._stop.wait()
        probing.cancel()
        server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(probing, *self._connections, return_exceptions=True)

    async def _probe(self) -> None:
        while True:
            for port, health_port in self._targets:
                is_ready = await asyncio.to_thread(_is_ready, health_port)
                (self._ready.add if is_ready else self._ready.discard)(port)
            await asyncio.sleep(PROBE_SECONDS)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        ready = sorted(self._ready)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if ready:
                port = ready[next(self._turns) % len(ready)]
                there, back = await asyncio.open_connection("127.0.0.1", port)
                try:
                    await asyncio.gather(_copy(reader, back), _copy(there, writer))
                finally:
                    back.close()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError):
            writer.write_eof() if writer.can_write_eof() else writer.close()


def _is_ready(health_port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health_port}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
