"""Does what the plan says, and writes down from when to when it hindered whom."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
from msgspec import structs

from tests.faults.history import Disturbance
from tests.faults.link import Point, Weather
from tests.faults.plan import ON_STORE, Fault, Planned, skews
from tests.faults.processes import Worker
from tests.faults.running import Store
from tests.faults.terms import Terms
from tests.faults.users import now_ms

AFTERMATH_MS: Final = 3_000
"""For a driver to notice that a connection is of no use, and for a store to be found again."""

RIGHT: Final = ((0.0, 0.0),)
"""The steps of a clock that is right."""

SKEWED_SECONDS: Final = 7_200.0
POLL_SECONDS: Final = 0.02
KEEP_SECONDS: Final = 0.5
ENDED_ITSELF: Final = "sidecar ended by itself, and was started again"

WEATHERS: Final[dict[Fault, Weather]] = {
    Fault.DELAY: Weather(delay_seconds=0.3),
    Fault.JITTER: Weather(jitter_seconds=0.6),
    Fault.DRIP: Weather(is_dripping=True),
    Fault.DROP: Weather(is_dropping=True),
    Fault.HOLD: Weather(is_holding=True),
    Fault.HALF_OPEN: Weather(loses_answers=True),
    Fault.DUPLICATE: Weather(duplicates=True),
}
POINTS: Final[dict[Fault, Point]] = {
    Fault.LOST_ANSWER: Point.AFTER_WRITE,
    Fault.SIDECAR_KILLED_BEFORE_WRITE: Point.BEFORE_WRITE,
    Fault.SIDECAR_KILLED_AFTER_WRITE: Point.AFTER_WRITE,
    Fault.STORE_KILLED_BEFORE_WRITE: Point.BEFORE_WRITE,
    Fault.STORE_KILLED_AFTER_WRITE: Point.AFTER_WRITE,
}
HARMLESS: Final = frozenset(
    {
        Fault.SIDECAR_KILLED,
        Fault.SIDECAR_KILLED_BEFORE_WRITE,
        Fault.SIDECAR_KILLED_AFTER_WRITE,
        Fault.DUPLICATE,
    }
)
"""No excuse for any rule: they hinder nobody who is alive."""


class Faulting:
    """The hand that breaks things, and mends them."""

    def __init__(self, store: Store, workers: list[Worker], terms: Terms, seed: int) -> None:
        self._store = store
        self._workers = workers
        self._terms = terms
        self._seed = seed
        self._store_lock = asyncio.Lock()
        self._locks = {worker.name: asyncio.Lock() for worker in workers}
        self.done: Counter[str] = Counter()

    async def follow(self, planned: list[Planned], report: Callable[[str], None]) -> None:
        """All of the plan; everything is mended at the end."""
        started = asyncio.get_running_loop().time()
        keeping = asyncio.create_task(self._keep_alive())
        try:
            await self._follow(planned, started, report)
        finally:
            keeping.cancel()

    async def heal(self, http: aiohttp.ClientSession) -> None:
        """Wait until all serve; one that ended in the last fault is started again."""
        await self._store.start()
        for worker in self._workers:
            if worker.pid is None:
                self.start(worker)
            await worker.until_ready(http)

    async def _keep_alive(self) -> None:
        """Start again what ended by itself, as one does that cannot open a file at its start."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            for worker in self._workers:
                if worker.pid is None and not self._locks[worker.name].locked():
                    self.done[ENDED_ITSELF] += 1
                    self._terms.killed.add((worker.name, worker.life))
                    self.start(worker)

    async def _follow(
        self, planned: list[Planned], started: float, report: Callable[[str], None]
    ) -> None:
        async with asyncio.TaskGroup() as faults:
            for each in planned:
                await asyncio.sleep(max(0, started + each.at - asyncio.get_running_loop().time()))
                report(f"{each.fault.value}: {self._name(each)}, {each.seconds:.1f} s")
                faults.create_task(self._do(each))

    def start(self, worker: Worker) -> None:
        """Start a worker's next life, with a clock of its own."""
        number = self._workers.index(worker) + 100 * worker.life
        has_clock = self._store.traits.has_clock
        worker.start(skews(self._seed, SKEWED_SECONDS, number) if has_clock else RIGHT)

    def _name(self, planned: Planned) -> str:
        return "store" if planned.fault in ON_STORE else self._workers[planned.target].name

    async def _do(self, planned: Planned) -> None:
        worker = self._workers[planned.target]
        is_on_store = planned.fault in ON_STORE
        lock = self._store_lock if is_on_store else self._locks[worker.name]
        async with lock:
            with self._noted(planned.fault, "" if is_on_store else worker.name):
                if await self._happen(planned.fault, worker, planned.seconds):
                    self.done[planned.fault.value] += 1

    @contextmanager
    def _noted(self, fault: Fault, worker: str) -> Iterator[None]:
        """Write down when it began at once, and when it ended later."""
        if fault in HARMLESS:
            yield
            return
        known = self._terms.disturbances
        now = Disturbance(fault.value, worker, now_ms(), sys.maxsize)
        known.append(now)
        try:
            yield
        finally:
            known.remove(now)
            known.append(structs.replace(now, ended=now_ms() + AFTERMATH_MS))

    async def _happen(self, fault: Fault, worker: Worker, seconds: float) -> bool:
        """Whether it came to it."""
        match fault:
            case _ if fault in WEATHERS:
                worker.link.begin(WEATHERS[fault])
                await asyncio.sleep(seconds)
                worker.link.end(WEATHERS[fault])
            case Fault.CUT:
                worker.link.cut()
            case Fault.SIDECAR_KILLED:
                self._kill(worker)
                await self._restart(worker, seconds)
            case Fault.STORE_KILLED:
                self._store.kill()
                await asyncio.sleep(seconds)
                await self._store.start()
            case Fault.SIDECAR_FROZEN | Fault.STORE_FROZEN:
                frozen = worker if fault is Fault.SIDECAR_FROZEN else self._store
                frozen.freeze(is_frozen=True)
                await asyncio.sleep(seconds)
                frozen.freeze(is_frozen=False)
            case Fault.DESCRIPTORS:
                worker.limit_descriptors(is_limited=True)
                worker.link.cut()
                await asyncio.sleep(seconds)
                worker.limit_descriptors(is_limited=False)
            case _:
                return await self._spring(fault, worker, seconds)
        return True

    async def _spring(self, fault: Fault, worker: Worker, seconds: float) -> bool:
        """Wait for a write, and do it at that very point; whether a write came."""
        springs: dict[Fault, Callable[[], None]] = {
            Fault.SIDECAR_KILLED_BEFORE_WRITE: lambda: self._kill(worker),
            Fault.SIDECAR_KILLED_AFTER_WRITE: lambda: self._kill(worker),
            Fault.STORE_KILLED_BEFORE_WRITE: self._store.kill,
            Fault.STORE_KILLED_AFTER_WRITE: self._store.kill,
        }
        sprung = worker.link.sprung
        worker.link.trap(POINTS[fault], springs.get(fault, lambda: None))
        for _ in range(int(5 / POLL_SECONDS)):
            if worker.link.sprung > sprung:
                break
            await asyncio.sleep(POLL_SECONDS)
        worker.link.disarm()
        is_sprung = worker.link.sprung > sprung
        if is_sprung and fault in ON_STORE:
            await asyncio.sleep(seconds)
            await self._store.start()
        if fault not in ON_STORE and worker.pid is None:
            await self._restart(worker, seconds)
        return is_sprung

    def _kill(self, worker: Worker) -> None:
        self._terms.killed.add((worker.name, worker.life))
        worker.kill()

    async def _restart(self, worker: Worker, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.start(worker)
