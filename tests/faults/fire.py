"""A cluster, its users and its faults, for so many seconds; and what the checker finds."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from moorline_api import OnOutage, Staleness
from msgspec import Struct, field, structs

from tests.faults import lives
from tests.faults.faulting import Faulting
from tests.faults.history import Disturbance, Kind, Story
from tests.faults.link import open_link
from tests.faults.mutations import MUTATIONS
from tests.faults.plan import Fault, plan
from tests.faults.processes import Given, Worker
from tests.faults.rules import Violation, violations
from tests.faults.running import Store, Traits
from tests.faults.stores import STORES
from tests.faults.terms import Terms
from tests.faults.users import ANSWER_SECONDS, Browser, Town, now_ms

MAX_TRUST_SECONDS: Final = 4
GRACE_SECONDS: Final = 3
TOUCH_MS: Final = 2_000
CLOCK_MS: Final = 400
"""Between the store's clock and a worker's idea of it: half a round trip, with some to spare."""

REVISITED_MAX: Final = 200
"""Stories that somebody may come back to; the oldest is judged and forgotten."""

WATCH_SECONDS: Final = 0.05
STALL_MS: Final = 1_000
"""A fifth of the slack that idle expiry has; shorter ones are no excuse."""
HEALED_SECONDS: Final = 60.0
NEARBY_MS: Final = 60_000
REVISIT_SECONDS: Final = 0.2


class Setting(Struct, frozen=True, kw_only=True):
    """What `make chaos` may be asked for."""

    seconds: float
    seed: int
    users: int
    sidecars: int
    store: str = "mongodb"
    think_seconds: float = 0.8
    staleness: Staleness = Staleness.PUSHED
    on_outage: OnOutage = OnOutage.REFUSE
    max_age_seconds: int = 25
    steps_max: int = 30
    cache_sessions: int = 10_000
    is_calm: bool = False
    """Without faults."""
    mutation: str = ""
    """What is wrong with the sidecars' build; the run ends when that is found."""

    def spec(self, store: Traits) -> dict[str, object]:
        return {
            "backend": store.backend,
            "sessions": {
                "maxAge": f"{self.max_age_seconds}s",
                "touchPeriod": f"{TOUCH_MS}ms",
                "renewGrace": f"{GRACE_SECONDS}s",
                "onOutage": self.on_outage.value,
            },
            "cache": {
                "staleness": self.staleness.value,
                "maxTrust": f"{MAX_TRUST_SECONDS}s",
                "maxSessions": self.cache_sessions,
            },
            "scavenge": {"delay": "2s", "period": "3s", "gracePeriod": "4s"},
            "sidecar": {"logLevel": "info"},
        }

    def terms(self, store: Traits) -> Terms:
        # A store that tells nothing is asked instead.
        falls_back = self.staleness is Staleness.PUSHED and not store.has_streams
        return Terms(
            staleness=Staleness.BOUNCED if falls_back else self.staleness,
            max_trust_ms=MAX_TRUST_SECONDS * 1000,
            max_age_ms=self.max_age_seconds * 1000,
            touch_ms=TOUCH_MS,
            grace_ms=GRACE_SECONDS * 1000,
            clock_ms=CLOCK_MS,
        )


class Outcome(Struct):
    """What happened, in numbers, and what should not have."""

    operations: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    sessions: int = 0
    repeated: int = 0
    longest_stall_ms: int = 0
    violations: list[Violation] = field(default_factory=list)
    stories: list[tuple[Story, list[Disturbance]]] = field(default_factory=list)
    """Those with violations, each with what was done around it."""

    def first_of_each_rule(self) -> dict[str, Violation]:
        return {it.rule: it for it in reversed(self.violations)}

    def count(self, story: Story) -> None:
        self.sessions += 1
        names: set[str] = set()
        for call in story.calls:
            self.operations[call.kind.value] += 1
            self.answers[str(call.status or "none")] += 1
            if call.source:
                self.sources[call.source] += 1
            self.repeated += call.name in names
            names |= {call.name} - {""}


class _Found(Exception):
    """The mutation was found."""


class Fire:
    """One run."""

    def __init__(self, setting: Setting, folder: Path, report: Callable[[str], None]) -> None:
        self._setting = setting
        self._folder = folder
        self._report = report
        self._kind = STORES[setting.store]
        self._terms = setting.terms(self._kind.traits)
        self._past: deque[Browser] = deque()
        self._is_found = False
        self.outcome = Outcome()
        self.workers: list[Worker] = []
        """Those that serve by now."""
        self.history = folder / "history.json"
        """The stories with violations, written at each."""

    async def run(self) -> Outcome:
        """Everything it starts is stopped at the end, also of an interrupted one."""
        async with AsyncExitStack() as stack:
            opened = self._kind.open(self._kind.traits, self._folder / "store")
            store = await stack.enter_async_context(opened)
            workers = await self._workers(stack, store)
            timeout = aiohttp.ClientTimeout(ANSWER_SECONDS)
            http = await stack.enter_async_context(
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=timeout,
                )
            )
            chance = random.Random(self._setting.seed)
            stop = asyncio.Event()
            setting = self._setting
            town = Town(
                workers,
                http,
                chance,
                setting.think_seconds,
                setting.steps_max,
                stop,
                self._terms.note_outage,
            )
            faulting = Faulting(store, workers, self._terms, self._setting.seed)
            watching = asyncio.create_task(self._watch_stalls())
            stack.callback(watching.cancel)
            await self._start(faulting, workers, http)
            self.workers = workers
            if await self._burns_to_the_end(town, faulting):
                await self._end(town, faulting)
                await self._stop(workers)
            self.outcome.faults = faulting.done
        return self.outcome

    async def _workers(self, stack: AsyncExitStack, store: Store) -> list[Worker]:
        workers = []
        traits = store.traits
        for number in range(self._setting.sidecars):
            opened = open_link(store.port, number, traits.writes)
            link = await stack.enter_async_context(opened)
            spec, uri = self._setting.spec(traits), store.uri(link.port)
            given = Given(spec, uri, self._setting.mutation)
            worker = Worker(self._folder, f"node{number}", link, given)
            stack.callback(worker.kill)
            workers.append(worker)
        return workers

    async def _start(
        self, faulting: Faulting, workers: list[Worker], http: aiohttp.ClientSession
    ) -> None:
        for worker in workers:
            faulting.start(worker)
        for worker in workers:
            await worker.until_ready(http)

    async def _burns_to_the_end(self, town: Town, faulting: Faulting) -> bool:
        """False if it was ended by what it was to find."""
        try:
            await self._burn(town, faulting)
        except* _Found:
            pass
        return not self._is_found

    async def _burn(self, town: Town, faulting: Faulting) -> None:
        setting = self._setting
        planned = plan(setting.seed, setting.seconds, setting.sidecars, self._spared())
        async with asyncio.TaskGroup() as tasks:
            for _ in range(setting.users):
                tasks.create_task(lives.live(town, self._done))
            tasks.create_task(self._revisit(town))
            until = asyncio.get_running_loop().time() + setting.seconds
            await faulting.follow(planned, self._report)
            await asyncio.sleep(max(0, until - asyncio.get_running_loop().time()))
            town.stop.set()

    def _spared(self) -> frozenset[Fault]:
        """The kinds of faults that are not to come; no excuse is needed to find a mutation."""
        setting = self._setting
        if setting.mutation and MUTATIONS[setting.mutation].shows_in_outage:
            return frozenset(Fault) - {Fault.STORE_KILLED}
        if setting.mutation or setting.is_calm:
            return frozenset(Fault)
        return self._kind.traits.spared

    def _done(self, browser: Browser) -> None:
        self._past.append(browser)
        if self._setting.mutation:
            self._seek(browser.story)
        elif len(self._past) > REVISITED_MAX:
            self._judge(self._past.popleft().story)

    def _seek(self, story: Story) -> None:
        """Raise _Found if the mutation shows in a story."""
        self._judge(story)
        sought = MUTATIONS[self._setting.mutation].rule
        if sought in self.outcome.first_of_each_rule():
            self._is_found = True
            raise _Found

    async def _revisit(self, town: Town) -> None:
        """Never cut off: a call that was sent and is not in the history would look invented."""
        while not town.stop.is_set():
            await town.think(REVISIT_SECONDS)
            if self._past:
                await lives.revisit(town, town.chance.choice(self._past))

    async def _end(self, town: Town, faulting: Faulting) -> None:
        """Look at every session that is still known, when all is mended."""
        await faulting.heal(town.http)
        for worker in town.workers:
            await _until_saved(town.http, worker)
        self._report(f"healed; looking once more at {len(self._past)} sessions")
        while self._past:
            batch = [self._past.popleft() for _ in range(min(20, len(self._past)))]
            async with asyncio.TaskGroup() as looks:
                for browser in batch:
                    looks.create_task(_look_again(town, browser))
            for browser in batch:
                self._judge(browser.story)

    async def _stop(self, workers: list[Worker]) -> None:
        codes = await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in workers))
        for worker, code in zip(workers, codes, strict=True):
            if code != 0:
                sentence = f"{worker.name} ended with {code}: see {worker.log}"
                self.outcome.violations.append(Violation("workers_end_in_good_order", 0, sentence))

    def _judge(self, story: Story) -> None:
        story.calls.sort(key=lambda call: call.sent)
        first, last = story.calls[0].sent - NEARBY_MS, story.calls[-1].received + NEARBY_MS
        nearby = [it for it in self._terms.disturbances if it.began < last and it.ended > first]
        found = violations(story, structs.replace(self._terms, disturbances=nearby))
        self.outcome.count(story)
        self.outcome.violations += found
        if found:
            self.outcome.stories.append((story, nearby))
            self._report(f"VIOLATION of {found[0].rule} in {story.number}: {found[0].sentence}")
            self.history.write_bytes(msgspec.json.encode(self.outcome.stories))

    async def _watch_stalls(self) -> None:
        """What keeps this program from answering keeps the machine's others from it as well."""
        while True:
            before = now_ms()
            await asyncio.sleep(WATCH_SECONDS)
            after = now_ms()
            stall = after - before - int(WATCH_SECONDS * 1000)
            self.outcome.longest_stall_ms = max(self.outcome.longest_stall_ms, stall)
            if stall > STALL_MS:
                self._terms.disturbances.append(Disturbance("stall", "", before, after + stall))


async def _look_again(town: Town, browser: Browser) -> None:
    last = len(browser.ids) - 1
    for worker in town.workers:
        for kind in (Kind.READ, Kind.CHANGE):
            for place in {0, last}:
                await browser.step(
                    kind, place=place, worker=worker, with_hint=False, is_final=place == last
                )


async def _until_saved(http: aiohttp.ClientSession, worker: Worker) -> None:
    """Wait until a worker has nothing unsaved, and finds the store."""
    url = f"http://127.0.0.1:{worker.ops_port}/v1/stats"
    data = f"http://127.0.0.1:{worker.port}/v1/sessions"
    async with asyncio.timeout(HEALED_SECONDS):
        while True:
            with suppress(aiohttp.ClientError):
                async with http.post(data, json={}) as created, http.get(url) as answer:
                    stats = await answer.json()
                    if created.status == 201 and stats["unsaved"] == 0:
                        return
            await asyncio.sleep(WATCH_SECONDS)
