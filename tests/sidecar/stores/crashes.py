"""Writers that go on until a store dies under them, and what it must hold afterwards."""

import asyncio

from moorline_sidecar.domain.session import Record, Session
from moorline_sidecar.errors import StoreError
from moorline_sidecar.stores.base import Outcome, SessionStore

from e2e.app.databases import Database
from tests.contract.sessions import a_session, with_attributes

KEYS = [f"session-{n}" for n in range(8)]


async def begun(store: SessionStore) -> list[Session]:
    """The sessions to be written, in the store."""
    await store.prepare()
    sessions = [a_session(key, contexts={"/": {"last": 0}}) for key in KEYS]
    for session in sessions:
        await store.insert(session)
    return sessions


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


async def check_survival(
    store: SessionStore, server: Database, sessions: list[Session], writing: SessionStore
) -> None:
    """What was acknowledged to `writing` survives kill -9 of the server; nothing is half there."""
    writers = [
        asyncio.create_task(write_until_it_fails(writing, [session])) for session in sessions[:4]
    ]
    writers.append(asyncio.create_task(write_until_it_fails(writing, sessions[4:])))
    await until_version(store, version=10)

    await asyncio.to_thread(server.kill)
    acknowledged = [session for writer in writers for session in await writer]
    await asyncio.to_thread(server.start)

    await until_it_answers(store)
    found = await loaded(store)
    assert set(found) == set(KEYS)
    for session in acknowledged:
        check(found.get(session.key), session.version)


async def until_version(store: SessionStore, version: int) -> None:
    async with asyncio.timeout(60):
        while min(mark.version for mark in (await store.confirm(KEYS)).values()) < version:
            pass


async def loaded(store: SessionStore) -> dict[str, Record]:
    async with asyncio.timeout(60):
        while True:
            try:
                return await store.load(KEYS)
            except StoreError:
                continue


async def until_it_answers(store: SessionStore) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await store.now()
            except StoreError:
                continue
            return
