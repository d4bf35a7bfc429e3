"""The server, or the process with the file, dies in the middle of writes."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.contract.backends import relational_store
from tests.sidecar.stores.crashes import (
    KEYS,
    begun,
    check,
    check_survival,
)
from tests.sidecar.stores.sql_cases import SERVERS, SQLITE, SqlCase
from tests.stores_fixtures import running_database

ROOT = Path(__file__).parents[3]

# Writes to each session over and over, and says which version is acknowledged.
WRITER = """
import asyncio, sys
from tests.contract.backends import relational_store
from tests.sidecar.stores.crashes import begun, write_until_it_fails
from tests.sidecar.stores.sql_cases import SQLITE

async def main():
    store = relational_store(SQLITE.dialect, sys.argv[1])
    sessions = await begun(store)
    async with asyncio.TaskGroup() as group:
        for session in sessions[:4]:
            group.create_task(write_until_it_fails(store, [session], tell=True))
        group.create_task(write_until_it_fails(store, sessions[4:], tell=True))

asyncio.run(main())
"""


@pytest.mark.parametrize("case", SERVERS)
async def test_what_was_acknowledged_survives_a_crash_and_nothing_is_half_written(
    case: SqlCase,
) -> None:
    assert case.server is not None
    with running_database(case.server) as server:
        store = relational_store(case.dialect, server.uri)
        await check_survival(store, server, await begun(store), store)
        await store.close()


async def test_a_process_that_dies_leaves_the_file_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "sessions.db")
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, path, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    acknowledged: dict[str, int] = {}
    async with asyncio.timeout(60):
        while min(acknowledged.get(key, 0) for key in KEYS) < 10:
            key, version = (await writer.stdout.readline()).split()
            acknowledged[key.decode()] = int(version)
    writer.kill()
    # What it had said by then is acknowledged, too; of the last line maybe only a part is there.
    for line in (await writer.stdout.read()).splitlines(keepends=True):
        if line.endswith(b"\n"):
            key, version = line.split()
            acknowledged[key.decode()] = int(version)
    await writer.wait()

    store = relational_store(SQLITE.dialect, path)
    found = await store.load(KEYS)
    for name, last in acknowledged.items():
        check(found.get(name), last)
    await store.close()
