"""Items that are not shared, and what is refused before it is sent."""

import asyncio

from tests.sidecar.sessions.slow_calls import Bench, let_run


async def test_what_is_submitted_alone_is_shared_with_nothing_before_it() -> None:
    bench = Bench()
    shared = bench.submit("a")
    alone = [asyncio.create_task(bench.batcher.submit_alone("a", item)) for item in ("a1", "a2")]
    for asked in (["a"], ["a1"], ["a2"]):
        await let_run()
        assert bench.calls.asked[-1] == asked
        bench.calls.made[-1].succeed()

    assert await asyncio.gather(*shared, *alone) == ["a!", "a1!", "a2!"]


async def test_what_is_submitted_alone_does_not_wait_for_other_keys() -> None:
    bench = Bench()
    tasks = bench.submit("a")
    tasks.append(asyncio.create_task(bench.batcher.submit_alone("b", "b1")))
    await let_run()

    assert bench.calls.asked == [["a", "b1"]]

    bench.calls.made[0].succeed()
    await asyncio.gather(*tasks)


async def test_who_waits_to_submit_alone_does_not_give_up_with_the_one_before() -> None:
    bench = Bench()
    (leaving,) = bench.submit("a")
    alone = asyncio.create_task(bench.batcher.submit_alone("a", "a1"))
    await asyncio.sleep(0)
    leaving.cancel()
    await let_run()
    bench.calls.made[0].succeed()
    await let_run()
    bench.calls.made[1].succeed()

    assert await alone == "a1!"


async def test_what_is_not_sent_yet_can_be_refused() -> None:
    bench = Bench(in_flight_max=1)
    sent = await bench.submitted("a")
    waiting = await bench.submitted("a", "b")
    error = OSError("away")
    bench.batcher.refuse_waiting(error)

    assert await asyncio.gather(*waiting, return_exceptions=True) == [error] * 2

    bench.calls.made[0].succeed()
    assert await asyncio.gather(*sent) == ["a!"]
    await let_run()
    assert bench.calls.asked == [["a"]]

    later = await bench.submitted("b")
    bench.calls.made[1].succeed()
    assert await asyncio.gather(*later) == ["b!"]
