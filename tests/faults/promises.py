"""`make promises`: what coherence and outages look like in numbers, one command for each.

`reads` compares the staleness policies on two workers without stickiness; `outage` takes the store
away under load; `logouts` ends sessions while slow requests of another worker are on their way.
Exit code 1 if a promise was broken.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
from moorline_sidecar.stores.embedded import EmbeddedServer

from tests.sidecar.running import Client, Sidecar, running_sidecar
from tests.stores_fixtures import durable_server, wait_until_answering

SETTLE_SECONDS: Final = 2.0
SEEN_SECONDS: Final = 60.0
KNOWN_SECONDS: Final = 3.0
"""Until every worker knows of an outage."""

TOGETHER: Final = 16


@contextmanager
def two_workers(spec: dict[str, Any]) -> Iterator[tuple[EmbeddedServer, list[Sidecar]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="moorline-")))
        server = stack.enter_context(durable_server(folder / "mongo"))
        workers = [
            stack.enter_context(running_sidecar(folder, name, server.uri, spec=spec))
            for name in ("node1", "node2")
        ]
        yield server, workers


@click.group()
def main() -> None:
    """Measure what is promised."""


@main.command()
@click.option("--reads", default=4_000, show_default=True)
@click.option("--sessions", default=100, show_default=True)
@click.option("--changes", default=0.02, show_default=True, help="Share of requests that change.")
def reads(reads: int, sessions: int, changes: float) -> None:
    """Reads without a question to the store, and when a change is seen elsewhere."""
    for staleness in ("Always", "Bounced", "Pushed"):
        with two_workers({"cache": {"staleness": staleness}}) as (_, workers):
            asyncio.run(_measure_reads(staleness, workers, reads, sessions, changes))


async def _measure_reads(
    staleness: str, workers: list[Sidecar], reads: int, sessions: int, changes: float
) -> None:
    async with aiohttp.ClientSession() as http:
        await asyncio.sleep(SETTLE_SECONDS)
        users = [await _begun(http, workers) for _ in range(sessions)]
        for client, path in users:
            for worker in workers:
                await client.call(worker, "GET", path)
        found: Counter[str] = Counter()
        took: list[float] = []
        chance = random.Random(1)
        for _ in range(reads):
            client, path = chance.choice(users)
            worker = chance.choice(workers)
            if chance.random() < changes:
                await client.call(worker, "PATCH", path, {"increment": {"n": 1}})
                continue
            began = time.perf_counter()
            answer = await client.call(worker, "GET", path)
            took.append(time.perf_counter() - began)
            found[answer.headers["Moorline-Cache"]] += 1
        # Who comes back to a worker that trusts its copy waits for that to end.
        tries = 5 if staleness == "Bounced" else 50
        seen = [await _seen_elsewhere(workers, *users[0]) for _ in range(tries)]
    told = f"{found['hit'] / found.total():.1%} of {found.total():,} reads without the store"
    told += f", median {statistics.median(took) * 1000:.2f} ms"
    told += f"; a change is seen after {statistics.median(seen) * 1000:.1f} ms"
    click.echo(f"{staleness:8} {told} (median; {max(seen) * 1000:.0f} ms at most)")


async def _begun(http: aiohttp.ClientSession, workers: Sequence[Sidecar]) -> tuple[Client, str]:
    client = Client(http)
    created = await client.call(workers[0], "POST", "/sessions", {"attributes": {"n": 0}})
    return client, f"/sessions/{created.body['id']}"


async def _seen_elsewhere(workers: list[Sidecar], client: Client, path: str) -> float:
    """Seconds from the answer to a change until somebody without its hint sees it elsewhere."""
    one, two = workers
    before = await client.call(two, "GET", path)
    hint = client.hint
    await client.call(one, "PATCH", path, {"increment": {"n": 1}})
    began = time.perf_counter()
    while True:
        client.hint = hint
        answer = await client.call(two, "GET", path)
        if answer.body["attributes"]["n"] > before.body["attributes"]["n"]:
            return time.perf_counter() - began
        if time.perf_counter() - began > SEEN_SECONDS:
            raise RuntimeError("a change was never seen elsewhere")


@main.command()
@click.option("--seconds", default=60.0, show_default=True)
@click.option("--users", default=20, show_default=True)
def outage(seconds: float, users: int) -> None:
    """Reads and changes while the store is away, and what it holds afterwards."""
    is_kept = True
    for on_outage in ("Refuse", "Buffer"):
        spec = {"sessions": {"onOutage": on_outage}}
        with two_workers(spec) as (server, workers):
            is_kept &= asyncio.run(_measure_outage(on_outage, server, workers, seconds, users))
    sys.exit(not is_kept)


class _User:
    """Reads and counts on one worker, and remembers what was acknowledged."""

    def __init__(self, client: Client, worker: Sidecar, path: str) -> None:
        self.client, self.worker, self.path = client, worker, path
        self.told = 0
        self.answers: Counter[tuple[str, int]] = Counter()
        self.took: list[tuple[float, str, float]] = []

    async def use(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._timed("GET", None)
            if await self._timed("PATCH", {"increment": {"n": 1}}) < 300:
                self.told += 1
            await asyncio.sleep(0.05)

    async def _timed(self, method: str, body: object) -> int:
        began = time.monotonic()
        answer = await self.client.call(self.worker, method, self.path, body)
        self.answers[method, answer.status] += 1
        self.took.append((began, method, time.monotonic() - began))
        return answer.status


async def _measure_outage(
    on_outage: str, server: EmbeddedServer, workers: list[Sidecar], seconds: float, count: int
) -> bool:
    async with aiohttp.ClientSession() as http:
        users = []
        for number in range(count):
            client, path = await _begun(http, workers)
            users.append(_User(client, workers[number % 2], path))
        stop = asyncio.Event()
        using = asyncio.gather(*(user.use(stop) for user in users))
        await asyncio.sleep(SETTLE_SECONDS)
        await asyncio.to_thread(server.kill)
        known = time.monotonic() + KNOWN_SECONDS
        await asyncio.sleep(seconds)
        until = time.monotonic()
        await asyncio.to_thread(server.start)
        await asyncio.to_thread(wait_until_answering, server)
        await asyncio.sleep(2 * SETTLE_SECONDS)
        stop.set()
        await using
        lost = [user for user in users if not await _holds(user, workers)]
    answers: Counter[tuple[str, int]] = sum((user.answers for user in users), Counter())
    took = [
        (method, spent) for user in users for at, method, spent in user.took if known < at < until
    ]
    click.echo(f"{on_outage}: {seconds:.0f} s without the store, {count} users")
    for (method, status), number in sorted(answers.items()):
        click.echo(f"  {method:5} {status}  {number:7,}")
    for method in ("GET", "PATCH"):
        times = sorted(spent for asked, spent in took if asked == method)
        click.echo(
            f"  {method:5} in the outage: median {statistics.median(times) * 1000:.1f} ms, "
            f"99 % within {times[len(times) * 99 // 100] * 1000:.1f} ms, "
            f"at most {times[-1] * 1000:.1f} ms"
        )
    click.echo(f"  sessions that do not hold what was acknowledged: {len(lost)}")
    failed = sum(n for (method, status), n in answers.items() if method == "GET" and status != 200)
    refused = sum(n for (_, status), n in answers.items() if status >= 300)
    return not lost and not failed and (on_outage == "Refuse" or not refused)


async def _holds(user: _User, workers: list[Sidecar]) -> bool:
    """Whether the store has what its user was told: the other worker has to ask it."""
    other = next(worker for worker in workers if worker is not user.worker)
    deadline = time.monotonic() + SEEN_SECONDS
    while True:
        answer = await user.client.call(other, "GET", user.path)
        # One that was answered 504 may count, or not; what was kept is on its way.
        most = user.told + user.answers["PATCH", 504]
        if answer.status == 200 and user.told <= answer.body["attributes"]["n"] <= most:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)


@main.command()
@click.option("--times", default=10_000, show_default=True)
@click.option("--seed", default=1, show_default=True)
def logouts(times: int, seed: int) -> None:
    """A slow request of one worker that finishes after the logout on another: never revived."""
    with two_workers({}) as (_, workers):
        revived = asyncio.run(_race_all(workers, times, random.Random(seed)))
    click.echo(f"{times:,} logouts against slow requests: {revived} sessions came back")
    sys.exit(bool(revived))


async def _race_all(workers: list[Sidecar], times: int, chance: random.Random) -> int:
    left = iter(range(times))
    async with aiohttp.ClientSession() as http:

        async def race_on() -> int:
            return sum([await _race(http, workers, chance) for _ in left])

        return sum(await asyncio.gather(*(race_on() for _ in range(TOGETHER))))


async def _race(http: aiohttp.ClientSession, workers: list[Sidecar], chance: random.Random) -> bool:
    """Whether the session is there after its logout was answered."""
    one, two = chance.sample(workers, 2)
    client, path = await _begun(http, [one])
    slow, other = Client(http), Client(http)
    slow.hint = other.hint = client.hint

    async def work() -> None:
        await asyncio.sleep(chance.uniform(0, 0.02))
        await slow.call(one, "PATCH", path, {"set": {"cart": "x" * chance.randrange(2_000)}})

    async def log_out() -> None:
        await asyncio.sleep(chance.uniform(0, 0.02))
        answer = await other.call(two, "DELETE", path)
        if answer.status != 204:
            raise RuntimeError(f"the logout was answered {answer.status}")

    await asyncio.gather(work(), log_out())
    await slow.call(one, "PATCH", path, {"set": {"late": True}})
    answers = [await Client(http).call(worker, "GET", path) for worker in workers]
    return any(answer.status != 410 for answer in answers)


if __name__ == "__main__":
    main()
