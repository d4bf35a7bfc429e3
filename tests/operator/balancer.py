"""What the kubelet and a Service are to the API server: connections go to replicas that are ready.

A replica is found out to be ready sooner than a kubelet would, and to be no longer ready only as
one would find it out: by several probes in a row, by its deletion, or by its end.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

LOOK_SECONDS: Final = 0.2
"""Between two probes of a replica that is not ready yet."""

NEWS_SECONDS: Final = 0.5
"""From the deletion of a pod until no new connection is led to it: endpoints, then every node."""

CHUNK_BYTES: Final = 1 << 16


@dataclass(frozen=True)
class Probe:
    """The part of a container's `readinessProbe` that says when it is not ready any more."""

    period: float
    timeout: float
    failures: int


@dataclass(eq=False)
class Pod:
    """One life of a replica; what starts again is another pod. Times are `time.monotonic`."""

    port: int
    health_port: int
    deleted: float | None = None
    is_ready: bool = False
    failures: int = field(default=0)

    @property
    def is_endpoint(self) -> bool:
        is_gone = self.deleted is not None and time.monotonic() > self.deleted + NEWS_SECONDS
        return self.is_ready and not is_gone


class Target(Protocol):
    """What has pods."""

    @property
    def pod(self) -> Pod | None:
        """The one whose process runs."""


class Balancer:
    """Forwards each connection on `host` and `port` to the next target that is ready.

    Pods are on 127.0.0.1. As with a Service, a connection that is there stays where it is when
    its target is no longer ready; and where there are none but pods that are being deleted, it
    is led to these.
    """

    def __init__(self, host: str, targets: Sequence[Target], probe: Probe) -> None:
        self.host = host
        self._targets = targets
        self._rule = probe
        self._turns = itertools.count()
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def leads_to(self, target: Target) -> bool:
        """Whether new connections may go there."""
        pod = target.pod
        return pod is not None and pod.is_endpoint

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
        probing = [asyncio.create_task(self._probe(target)) for target in self._targets]
        await self._stop.wait()
        server.close()
        tasks = (*probing, *self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _probe(self, target: Target) -> None:
        while True:
            if pod := target.pod:
                await self._judge(pod)
            is_ready = pod is not None and pod.is_ready
            await asyncio.sleep(self._rule.period if is_ready else LOOK_SECONDS)

    async def _judge(self, pod: Pod) -> None:
        if await _says_ready(pod.health_port, self._rule.timeout):
            pod.is_ready, pod.failures = True, 0
            return
        pod.failures += 1
        if pod.failures >= self._rule.failures:
            pod.is_ready = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        endpoints = self._endpoints()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if endpoints:
                port = endpoints[next(self._turns) % len(endpoints)].port
                there, back = await asyncio.open_connection("127.0.0.1", port)
                try:
                    await asyncio.gather(_copy(reader, back), _copy(there, writer))
                finally:
                    back.close()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def _endpoints(self) -> list[Pod]:
        pods = [pod for target in self._targets if (pod := target.pod) is not None]
        return [pod for pod in pods if pod.is_endpoint] or [pod for pod in pods if pod.is_ready]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    finally:
        with contextlib.suppress(OSError):
            writer.write_eof() if writer.can_write_eof() else writer.close()


async def _says_ready(health_port: int, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", health_port)
            try:
                writer.write(
                    b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                return (await reader.readline()).split()[1:2] == [b"200"]
            finally:
                writer.close()
    except OSError:
        return False
