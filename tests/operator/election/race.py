"""Electors in virtual time over one API server, and a history of who acted when."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise

from moorline_operator.election import Elector, Terms
from moorline_operator.errors import LeadershipLost, Unavailable
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import LEASES, Kind

from tests.operator.workers.simulated_api import SimulatedApi

TERMS = Terms(namespace="moorline-system", lease="moorline-operator")

ACT_SECONDS = 0.1


class Link:
    """The way of one replica to the API server: `is_cut`, or slow both ways by `seconds`."""

    def __init__(self, api: SimulatedApi) -> None:
        self._api = api
        self.is_cut = False
        self.answers_are_lost = False
        self.seconds: Sequence[float] = (0.005,)

    async def get(self, kind: Kind, namespace: str, name: str) -> KubeObject:
        await self._there()
        return await self._back(await self._api.get(kind, namespace, name))

    async def create(self, kind: Kind, obj: KubeObject) -> KubeObject:
        await self._there()
        return await self._back(await self._api.create(kind, obj))

    async def replace(self, kind: Kind, obj: KubeObject) -> KubeObject:
        await self._there()
        return await self._back(await self._api.replace(kind, obj))

    async def _there(self) -> None:
        await asyncio.sleep(random.choice(self.seconds))
        if self.is_cut:
            raise Unavailable("simulated", "the link is cut")

    async def _back(self, answer: KubeObject) -> KubeObject:
        await asyncio.sleep(random.choice(self.seconds))
        if self.is_cut or self.answers_are_lost:
            raise Unavailable("simulated", "no answer")
        return answer


class Replica:
    """One process: its own clock, its own link, and a payload that acts as often as it may."""

    def __init__(
        self, race: "Race", name: str, *, clock_offset: float = 0.0, clock_rate: float = 1.0
    ) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.link = Link(race.api)
        self.frozen_until = 0.0
        self._race = race
        self.elector = Elector(
            self.link,
            race.terms,
            name,
            lambda: clock_offset + clock_rate * loop.time(),
        )
        self.task = asyncio.create_task(self.elector.run(self.act))

    async def act(self) -> None:
        """Write as the operator does: each write asks the guard first."""
        while True:
            self.elector.guard()
            self._race.acted.append((asyncio.get_running_loop().time(), self.name))
            await asyncio.sleep(ACT_SECONDS)

    async def stop(self) -> None:
        """As SIGTERM does."""
        self.task.cancel()
        with suppress(asyncio.CancelledError, LeadershipLost):
            await self.task


class Race:
    """Replicas of one operator; `acted` has the time and the name of each act."""

    def __init__(self, terms: Terms = TERMS) -> None:
        self.api = SimulatedApi()
        self.terms = terms
        self.acted: list[tuple[float, str]] = []
        self.replicas: dict[str, Replica] = {}

    def start(self, name: str, *, clock_offset: float = 0.0, clock_rate: float = 1.0) -> Replica:
        replica = Replica(self, name, clock_offset=clock_offset, clock_rate=clock_rate)
        self.replicas[name] = replica
        return replica

    async def stop(self) -> None:
        for replica in self.replicas.values():
            await replica.stop()

    @property
    def holder(self) -> str | None:
        (lease,) = self.api.seen(LEASES)
        found: str | None = lease["spec"]["holderIdentity"]
        return found

    def reigns(self) -> list[tuple[str, float, float]]:
        """Who acted from when to when, in the order of their last acts."""
        spans: dict[str, tuple[float, float]] = {}
        for at, name in self.acted:
            spans[name] = spans.get(name, (at, at))[0], at
        reigns = [(name, first, last) for name, (first, last) in spans.items()]
        return sorted(reigns, key=lambda reign: reign[2])

    def check(self) -> None:
        """Nobody acts between another one's first and last act: each leads once."""
        for (_, _, ended), (name, began, _) in pairwise(self.reigns()):
            assert began > ended, f"{name} acts beside another: {self.reigns()}"

    def longest_pause(self) -> float:
        """Seconds without a leader that acts, from the first act to the last."""
        times = [at for at, _ in self.acted]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def spans(reigns: Sequence[tuple[str, float, float]]) -> Mapping[str, tuple[float, float]]:
    return {name: (first, last) for name, first, last in reigns}
