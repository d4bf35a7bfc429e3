"""Writers that go on until a store dies under them, and what it must hold afterwards."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from moorline_sidecar.domain.session import Record, Session
from moorline_sidecar.errors import StoreError
from moorline_sidecar.stores.base import Outcome, SessionStore, Write

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
    store: SessionStore,
    sessions: list[Session],
    *,
    tell: bool = False,
    server: Database | None = None,
) -> list[Session]:
    """The sessions as they were last acknowledged, all of them written in one call each time.

    With a `server` it has failed when that is dead. Who is to `tell` is killed, and until then all
    is only slow: a writer among others to one file may wait for its turn for longer than a call.
    """

    def is_only_slow() -> bool:
        return tell or (server is not None and server.pid is not None)

    while True:
        changes = [
            with_attributes(session, {f"n{session.version}": "x" * 1_000, "last": session.version})
            for session in sessions
        ]
        outcomes = await outcomes_of(store, changes, is_only_slow)
        if outcomes is None:
            return sessions
        assert outcomes == [Outcome.APPLIED] * len(changes)
        sessions = [change.after for change in changes]
        if tell:
            for session in sessions:
                print(session.key, session.version, flush=True)  # noqa: T201 the other end reads it


async def outcomes_of(
    store: SessionStore, changes: Sequence[Write], is_only_slow: Callable[[], bool]
) -> list[Outcome] | None:
    """Written again while all is only slow: None if it fails."""
    while True:
        try:
            return await store.write(changes)
        except StoreError:
            if not is_only_slow():
                return None


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
        asyncio.create_task(write_until_it_fails(writing, some, server=server))
        for some in (*([session] for session in sessions[:4]), sessions[4:])
    ]
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
        while True:
            with suppress(StoreError):
                marks = await store.confirm(KEYS)
                if min(mark.version for mark in marks.values()) >= version:
                    return


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
