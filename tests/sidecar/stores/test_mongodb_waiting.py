"""The driver's condition, cancelled twice while somebody else holds its lock."""

import asyncio

from moorline_sidecar.stores.mongodb_client import open_client
from pymongo.lock import _async_cond_wait, _async_create_condition, _async_create_lock


async def test_a_wait_that_is_cancelled_twice_ends_with_the_lock_and_leaves_it_free() -> None:
    await open_client("mongodb://127.0.0.1:1/").close()
    lock = _async_create_lock()
    condition = _async_create_condition(lock)

    async def wait() -> None:
        async with condition:
            await _async_cond_wait(condition, 60)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    async with lock:
        # By then it waits for the lock, which it has to have again before it can end.
        for _ in range(5):
            waiting.cancel()
            await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait([waiting], timeout=10)
    assert waiting.cancelled()
    assert not lock.locked()
