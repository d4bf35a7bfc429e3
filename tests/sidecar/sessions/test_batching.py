import asyncio
import gc
from typing import Any

import pytest
from moorline_sidecar.sessions.batching import BATCH_MAX, ENOUGH, PATIENCE_SECONDS

from tests.sidecar.sessions.slow_calls import Bench, let_run
from tests.sidecar.sessions.workers import VIRTUAL_TIME


async def test_what_is_submitted_together_is_one_call() -> None:
    bench = Bench()
    tasks = await bench.submitted("a", "b", "c")

    assert bench.calls.asked == [["a", "b", "c"]]

    bench.calls.made[0].succeed()
    assert await asyncio.gather(*tasks) == ["a!", "b!", "c!"]


async def test_nothing_submitted_is_no_call() -> None:
    bench = Bench()
    await let_run()

    assert bench.calls.made == []


async def test_an_item_that_is_not_sent_yet_is_shared() -> None:
    bench = Bench()
    tasks = await bench.submitted("a", "a", "a")

    assert bench.calls.asked == [["a"]]

    bench.calls.made[0].succeed()
    assert await asyncio.gather(*tasks) == ["a!"] * 3


async def test_an_item_that_was_sent_is_not_shared() -> None:
    # Its answer may be older than the question.
    bench = Bench()
    first = await bench.submitted("a")
    second = await bench.submitted("a", "a")
    bench.calls.made[0].succeed("1")
    await let_run()

    assert bench.calls.asked == [["a"], ["a"]]
    assert not second[0].done()

    bench.calls.made[1].succeed("2")
    assert await asyncio.gather(*first, *second) == ["a1", "a2", "a2"]


async def test_a_key_is_in_flight_once() -> None:
    bench = Bench()
    tasks = await bench.submitted("a")
    tasks += await bench.submitted("a", "b")

    assert bench.calls.asked == [["a"], ["b"]]

    bench.calls.made[1].succeed()
    await let_run()
    assert bench.calls.asked == [["a"], ["b"]]

    bench.calls.made[0].succeed()
    await let_run()
    assert bench.calls.asked == [["a"], ["b"], ["a"]]

    bench.calls.made[2].succeed()
    await asyncio.gather(*tasks)


async def test_a_call_has_so_many_items_at_most() -> None:
    bench = Bench()
    keys = [f"k{n}" for n in range(2 * BATCH_MAX + 1)]
    tasks = await bench.submitted(*keys)

    assert bench.calls.asked == [keys[:BATCH_MAX], keys[BATCH_MAX:-1], keys[-1:]]

    for call in bench.calls.made:
        call.succeed()
    await asyncio.gather(*tasks)


async def test_so_many_calls_are_under_way_at_most() -> None:
    bench = Bench(in_flight_max=2)
    tasks: list[asyncio.Task[str]] = []
    for key in "abcde":
        tasks += await bench.submitted(key)
    assert bench.calls.asked == [["a"], ["b"]]

    bench.calls.made[1].succeed()
    await let_run()

    # What was gathered meanwhile goes together.
    assert bench.calls.asked == [["a"], ["b"], ["c", "d", "e"]]
    bench.calls.made[0].succeed()
    bench.calls.made[2].succeed()
    await asyncio.gather(*tasks)


READY = 2


async def with_ready_calls_under_way() -> tuple[Bench, list[asyncio.Task[str]]]:
    bench = Bench(ready=READY)
    tasks: list[asyncio.Task[str]] = []
    for n in range(READY):
        tasks += await bench.submitted(f"early{n}")
    assert len(bench.calls.made) == READY
    return bench, tasks


async def test_a_further_call_is_made_for_enough_items() -> None:
    bench, tasks = await with_ready_calls_under_way()
    keys = [f"k{n}" for n in range(ENOUGH)]
    tasks += await bench.submitted(*keys[:-1])
    assert len(bench.calls.made) == READY

    tasks += await bench.submitted(keys[-1])

    assert bench.calls.asked[READY:] == [keys]
    for call in bench.calls.made:
        call.succeed()
    await asyncio.gather(*tasks)


@VIRTUAL_TIME
async def test_few_items_wait_a_moment_for_a_call_that_hangs() -> None:
    bench, tasks = await with_ready_calls_under_way()
    tasks += await bench.submitted("a")
    await asyncio.sleep(0.9 * PATIENCE_SECONDS)
    tasks += await bench.submitted("b")
    assert len(bench.calls.made) == READY

    await asyncio.sleep(0.2 * PATIENCE_SECONDS)

    assert bench.calls.asked[READY:] == [["a", "b"]]
    for call in bench.calls.made:
        call.succeed()
    await asyncio.gather(*tasks)


async def test_a_call_that_returns_makes_room_for_few_items() -> None:
    bench, tasks = await with_ready_calls_under_way()
    tasks += await bench.submitted("a")
    bench.calls.made[0].succeed()
    await let_run()

    assert bench.calls.asked[READY:] == [["a"]]
    for call in bench.calls.made[1:]:
        call.succeed()
    await asyncio.gather(*tasks)


async def test_a_failure_reaches_all_who_submitted_and_nobody_else() -> None:
    bench = Bench()
    failed = await bench.submitted("a", "a", "b")
    others = await bench.submitted("c")
    error = OSError("no")
    bench.calls.made[0].fail(error)
    bench.calls.made[1].succeed()

    assert await asyncio.gather(*failed, return_exceptions=True) == [error] * 3
    assert await asyncio.gather(*others) == ["c!"]


async def test_after_a_failure_the_next_call_is_made() -> None:
    bench = Bench(in_flight_max=1)
    failed = await bench.submitted("a")
    waiting = await bench.submitted("a")
    bench.calls.made[0].fail(OSError("no"))
    await let_run()
    bench.calls.made[1].succeed()

    assert await asyncio.gather(*waiting) == ["a!"]
    with pytest.raises(OSError, match="no"):
        await failed[0]


async def test_the_failure_of_what_nobody_waits_for_is_nobodys() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    bench = Bench()
    (task,) = await bench.submitted("a")
    task.cancel()
    await let_run()
    bench.calls.made[0].fail(OSError("no"))
    await let_run()
    assert bench.calls.tasks[0].exception() is None
    del bench
    gc.collect()

    assert complaints == []


@pytest.mark.parametrize("is_sent", [False, True], ids=["not sent yet", "sent"])
async def test_who_gives_up_does_not_take_the_others_along(*, is_sent: bool) -> None:
    bench = Bench()
    leaving, staying, other = bench.submit("a", "a", "b")
    await (let_run() if is_sent else asyncio.sleep(0))
    leaving.cancel()
    await let_run()
    bench.calls.made[0].succeed()

    assert await staying == "a!"
    assert await other == "b!"
    assert leaving.cancelled()


async def test_what_the_only_submitter_gave_up_does_not_block_its_key() -> None:
    bench = Bench()
    (leaving,) = await bench.submitted("a")
    leaving.cancel()
    later = await bench.submitted("a")
    bench.calls.made[0].succeed("1")
    await let_run()
    bench.calls.made[1].succeed("2")

    assert await asyncio.gather(*later) == ["a2"]


async def test_a_call_that_is_cancelled_leaves_nobody_waiting() -> None:
    bench = Bench()
    tasks = await bench.submitted("a", "b")
    bench.calls.tasks[0].cancel()
    await let_run()

    assert all(task.cancelled() for task in tasks)

    later = await bench.submitted("a")
    bench.calls.made[1].succeed()
    assert await asyncio.gather(*later) == ["a!"]


async def test_a_call_that_answers_too_little_leaves_nobody_waiting() -> None:
    bench = Bench()
    tasks = await bench.submitted("a", "b")
    bench.calls.made[0].end.set_result(["a!"])
    await let_run()

    assert all(task.done() for task in tasks)
    assert isinstance(bench.calls.tasks[0].exception(), ValueError)
