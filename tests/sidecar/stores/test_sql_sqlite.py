"""What SQLite has by itself: a thread for each connection."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from moorline_sidecar.stores.base import CALL_SECONDS
from moorline_sidecar.stores.sql_sqlite import SQLite

from tests.contract.backends import relational_store

GIVEN_UP_SECONDS = CALL_SECONDS + 0.5
"""Then a closing store waits no more for the call, but for what it has left behind."""


async def test_a_closed_store_leaves_no_thread_behind_that_a_call_has_given_up(
    tmp_path: Path,
) -> None:
    file = str(tmp_path / "sessions.db")
    before = set(threading.enumerate())
    store = relational_store(SQLite(), file, "sessions")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    call = asyncio.create_task(store.prepare())
    await asyncio.sleep(0.2)  # a thread connects now, and waits for its turn
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    closing = asyncio.create_task(store.close())
    await asyncio.sleep(GIVEN_UP_SECONDS)
    other.close()
    await closing

    left = {thread for thread in threading.enumerate() if thread.name.startswith("Thread-")}
    assert left - before == set()
