"""The server, or the process with the file, dies in the middle of writes."""

import asyncio
import sys
from pathlib import Path

import pytest
from moorline_sidecar.domain.session import Record, Session
from moorline_sidecar.errors import StoreError
from moorline_sidecar.stores.base import Outcome, SessionStore

from tests.contract.backends import relational_store
from tests.contract.sessions import a_session, with_attributes
from tests.sidecar.stores.sql_cases import SERVERS, SQLITE, SqlCase
from tests.stores_fixtures import running_database

KEYS = [f"session-{n}" for n in range(8)]
ROOT = Path(__file__).parents[3]

# Writes to each session over and over, and says which version is acknowledged.
WRITER = """
import asyncio, sys
from tests.contract.backends import relational_store
from tests.contract.sessions import a_session
from tests.sidecar.stores.sql_cases import SQLITE
from tests.sidecar.stores.test_sql_crash import KEYS, write_until_it_fails

async def main():
    store = relational_store(SQLITE.dialect, sys.argv[1])
    await store.prepare()
    sessions = [a_session(key, contexts={"/": {"last": 0}}) for key in KEYS]
    for session in sessions:
        await store.insert(session)
    async with asyncio.TaskGroup() as group:
        for session in sessions[:4]:
            group.create_task(write_until_it_fails(store, [session], tell=True))
        group.create_task(write_until_it_fails(store, sessions[4:], tell=True))

asyncio.run(main())
"""


async def write_until_it_fails(
    store: SessionStore, sessions: list[Session], *, tell: bool = False
) -> list[Session]:
    """The sessions as they were last acknowledged, all of them written in one call each time."""
    while True:
        changes = [
            with_attributes(session, {f"n{session.version}": "x" * 1_000, "last": session.version})
            for session in sessions
        ]
        try:
            outcomes = await store.write(changes)
        except StoreError:
            return sessions
        assert outcomes == [Outcome.APPLIED] * len(changes)
        sessions = [change.after for change in changes]
        if tell:
            for session in sessions:
                print(session.key, session.version, flush=True)  # noqa: T201 the other end reads it


def check(record: Record | None, acknowledged: int) -> None:
    """The write that was under way when it died is there as a whole, or not at all."""
    assert isinstance(record, Session)
    attributes = record.contexts["/"]
    assert record.version in {acknowledged, acknowledged + 1}
    assert attributes["last"] == record.version - 1
    assert len(attributes) == record.version


@pytest.mark.parametrize("case", SERVERS)
async def test_what_was_acknowledged_survives_a_crash_and_nothing_is_half_written(
    case: SqlCase,
) -> None:
    assert case.server is not None
    with running_database(case.server) as server:
        store = relational_store(case.dialect, server.uri)
        await store.prepare()
        sessions = [a_session(key, contexts={"/": {"last": 0}}) for key in KEYS]
        for session in sessions:
            await store.insert(session)
        writers = [
            asyncio.create_task(write_until_it_fails(store, [session])) for session in sessions[:4]
        ]
        writers.append(asyncio.create_task(write_until_it_fails(store, sessions[4:])))
        await _until(store, version=10)

        await asyncio.to_thread(server.kill)
        acknowledged = [session for writer in writers for session in await writer]
        await asyncio.to_thread(server.start)

        found = await _load(store)
        for session in acknowledged:
            check(found.get(session.key), session.version)
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


async def _until(store: SessionStore, version: int) -> None:
    async with asyncio.timeout(60):
        while min(mark.version for mark in (await store.confirm(KEYS)).values()) < version:
            pass


async def _load(store: SessionStore) -> dict[str, Record]:
    async with asyncio.timeout(60):
        while True:
            try:
                return await store.load(KEYS)
            except StoreError:
                continue
