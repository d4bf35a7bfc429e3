"""Waiting for what the API server tells only when it is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bench.errors import BenchError

LOOK_SECONDS: Final = 0.05
DEADLINE_SECONDS: Final = 120.0


async def until(
    is_so: Callable[[], Awaitable[bool]], what: str, seconds: float = DEADLINE_SECONDS
) -> None:
    """Ask until it is so.

    Raises:
        BenchError: it is not within that time; says what.
    """
    deadline = time.monotonic() + seconds
    while not await is_so():
        if time.monotonic() > deadline:
            raise BenchError(f"{what} within {seconds:.0f} s")
        await asyncio.sleep(LOOK_SECONDS)
