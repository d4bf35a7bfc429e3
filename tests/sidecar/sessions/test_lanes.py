import asyncio
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.sessions.lanes import Lanes

from tests.sidecar.sessions.slow_calls import let_run

steps = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "leave", "cancel"]), st.integers(0, 2)), max_size=30
)


class Visitor:
    """Holds a lane until it is told to leave."""

    def __init__(self, street: "Street", key: str, name: str) -> None:
        self.key = key
        self.name = name
        self.may_leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(street))

    async def _visit(self, street: "Street") -> None:
        async with street.lanes.hold(self.key):
            street.entered.append(self)
            assert self.key not in street.inside
            street.inside[self.key] = self
            try:
                await self.may_leave.wait()
            finally:
                del street.inside[self.key]


class Street:
    """Lanes, who is in them, and who has been."""

    def __init__(self) -> None:
        self.lanes: Lanes[str] = Lanes()
        self.visitors: list[Visitor] = []
        self.entered: list[Visitor] = []
        self.inside: dict[str, Visitor] = {}

    async def ask(self, key: str, name: str = "") -> Visitor:
        visitor = Visitor(self, key, name)
        self.visitors.append(visitor)
        await let_run()
        return visitor

    async def leave(self, visitor: Visitor) -> None:
        visitor.may_leave.set()
        await let_run()


async def test_a_lane_is_held_by_one_at_a_time_in_the_order_of_asking() -> None:
    street = Street()
    visitors = [await street.ask("a", str(n)) for n in range(5)]
    assert street.entered == visitors[:1]

    for visitor in visitors:
        await street.leave(visitor)

    assert street.entered == visitors


async def test_lanes_of_different_keys_are_independent() -> None:
    street = Street()
    a, b = await street.ask("a"), await street.ask("b")

    assert street.inside == {"a": a, "b": b}

    await street.leave(a)
    await street.leave(b)


async def test_a_lane_that_nobody_uses_is_gone() -> None:
    street = Street()
    visitors = [await street.ask(key) for key in "aab"]
    assert len(street.lanes) == 2

    for visitor in visitors:
        await street.leave(visitor)

    assert len(street.lanes) == 0


async def test_who_comes_back_queues_up_again() -> None:
    street = Street()
    first, second = await street.ask("a"), await street.ask("a")
    first.may_leave.set()
    third = await street.ask("a")

    assert street.entered == [first, second]

    await street.leave(second)
    await street.leave(third)


async def test_an_error_frees_the_lane() -> None:
    lanes: Lanes[str] = Lanes()

    with pytest.raises(OSError, match="no"):
        async with lanes.hold("a"):
            raise OSError("no")

    assert len(lanes) == 0


async def test_who_gives_up_waiting_holds_nobody_up() -> None:
    street = Street()
    first, leaving, last = [await street.ask("a") for _ in range(3)]
    leaving.task.cancel()
    await let_run()
    await street.leave(first)

    assert street.inside == {"a": last}

    await street.leave(last)
    assert len(street.lanes) == 0


async def test_who_is_cancelled_at_the_moment_of_entry_holds_nobody_up() -> None:
    street = Street()
    first, leaving, last = [await street.ask("a") for _ in range(3)]
    first.may_leave.set()
    await first.task
    leaving.task.cancel()
    await let_run()

    assert street.inside == {"a": last}

    await street.leave(last)
    assert len(street.lanes) == 0


async def test_the_holder_finds_the_jobs_of_all_who_wait_in_order() -> None:
    lanes: Lanes[str] = Lanes()
    for job in ("first", "second", "third"):
        lanes.queue("a", job)
    lanes.queue("b", "other")

    async with lanes.hold("a"):
        assert lanes.take("a") == ["first", "second", "third"]
        assert lanes.take("a") == []
        lanes.queue("a", "fourth")
        assert lanes.take("a") == ["fourth"]

    async with lanes.hold("b"):
        assert lanes.take("b") == ["other"]
    assert len(lanes) == 0


DONE: Final = "done"


async def test_queued_jobs_are_done_once_by_whoever_comes_first() -> None:
    lanes: Lanes[str] = Lanes()
    batches: list[list[str]] = []

    async def submit(job: str) -> str:
        lanes.queue("a", job)
        async with lanes.hold("a"):
            jobs = lanes.take("a")
            if jobs:
                batches.append(jobs)
                await asyncio.sleep(0)
        return DONE

    submissions = [asyncio.create_task(submit(str(n))) for n in range(10)]

    assert await asyncio.gather(*submissions) == [DONE] * 10
    assert [job for batch in batches for job in batch] == [str(n) for n in range(10)]
    assert len(batches) < 10
    assert len(lanes) == 0


@given(steps)
async def test_lanes_are_first_come_first_served_and_do_not_leak(
    script: list[tuple[str, int]],
) -> None:
    street = Street()
    for verb, which in script:
        key = f"k{which}"
        match verb:
            case "ask":
                await street.ask(key)
            case "leave" if key in street.inside:
                await street.leave(street.inside[key])
            case "cancel" if street.visitors:
                street.visitors[(7 * which) % len(street.visitors)].task.cancel()
                await let_run()
    for visitor in street.visitors:
        visitor.may_leave.set()
    await let_run()
    await asyncio.gather(*(visitor.task for visitor in street.visitors), return_exceptions=True)

    asked = [visitor for visitor in street.visitors if visitor in street.entered]
    for key in {visitor.key for visitor in asked}:
        entered = [visitor for visitor in street.entered if visitor.key == key]
        assert entered == [visitor for visitor in asked if visitor.key == key]
    assert len(street.lanes) == 0
