import asyncio

import pytest
from moorline_operator.workqueue import FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, WorkQueue

pytestmark = pytest.mark.looptime


def queue() -> WorkQueue[str]:
    return WorkQueue(asyncio.get_running_loop().time)


async def test_a_key_is_handed_out_once_however_often_it_was_added() -> None:
    waiting = queue()
    for _ in range(3):
        waiting.add("shop")
    assert await waiting.take() == "shop"
    assert len(waiting) == 0


async def test_a_key_that_comes_again_while_it_is_worked_on_waits_for_the_end() -> None:
    waiting = queue()
    waiting.add("shop")
    await waiting.take()
    waiting.add("shop")
    taking = asyncio.create_task(waiting.take())
    await asyncio.sleep(60)
    assert not taking.done()
    waiting.finished("shop")
    assert await taking == "shop"


async def test_other_keys_do_not_wait_for_one_that_is_worked_on() -> None:
    waiting = queue()
    waiting.add("shop")
    await waiting.take()
    waiting.add("shop")
    waiting.add("blog")
    assert await waiting.take() == "blog"


async def test_the_earliest_of_two_times_counts() -> None:
    waiting, started = queue(), asyncio.get_running_loop().time()
    waiting.add("shop", 5)
    waiting.add("shop", 60)
    assert await waiting.take() == "shop"
    assert asyncio.get_running_loop().time() - started == pytest.approx(5, abs=0.1)


async def test_a_sooner_time_wakes_who_waits_for_a_later_one() -> None:
    waiting, started = queue(), asyncio.get_running_loop().time()
    waiting.add("shop", 3_600)
    taking = asyncio.create_task(waiting.take())
    await asyncio.sleep(1)
    waiting.add("shop", 1)
    await taking
    assert asyncio.get_running_loop().time() - started == pytest.approx(2, abs=0.1)


async def test_failures_are_tried_again_after_ever_longer_pauses_until_one_succeeds() -> None:
    waiting = queue()
    waiting.add("shop")
    pauses = [waiting.failed(await waiting.take()) for _ in range(12)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_RETRY_SECONDS
    waiting.finished(await waiting.take())
    waiting.add("shop")
    assert waiting.failed(await waiting.take()) == FIRST_RETRY_SECONDS
