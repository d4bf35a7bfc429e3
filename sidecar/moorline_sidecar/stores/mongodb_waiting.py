"""What the driver needs on Python 3.11 to outlive an outage.

`asyncio.wait_for` of 3.11 that is cancelled twice returns before what it waits for has ended. Where
that is the driver's condition, which takes its lock again first, a lock is released that is not
held, and then held for ever: no server is ever selected again, and no request can be cancelled.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

import pymongo.lock

T = TypeVar("T")


def mend_waiting() -> None:
    """Have the driver wait as Python 3.12 does, where this is an older one."""
    if sys.version_info < (3, 12):
        pymongo.lock.wait_for = _wait_for  # type: ignore[assignment, attr-defined]


async def _wait_for(awaited: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 as the one it stands for
    async with asyncio.timeout(timeout):
        return await awaited
