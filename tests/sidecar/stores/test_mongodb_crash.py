"""The server dies in the middle of writes, and comes back with what it acknowledged."""

import asyncio
from pathlib import Path

from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import StoreError
from moorline_sidecar.stores.base import Outcome, SessionStore

from tests.contract.backends import mongo_store
from tests.contract.sessions import a_session, with_attributes
from tests.stores_fixtures import GIVES_UP_CONNECTIONS, durable_server, wait_until_answering

pytestmark = GIVES_UP_CONNECTIONS

KEYS = [f"session-{n}" for n in range(8)]


async def write_until_it_fails(store: SessionStore, sessions: list[Session]) -> list[Session]:
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


async def test_what_was_acknowledged_survives_a_crash_and_nothing_is_half_written(
    tmp_path: Path,
) -> None:
    with durable_server(tmp_path) as server:
        store = mongo_store(server.uri, "sessions")
        await store.prepare()
        sessions = [a_session(key, contexts={"/": {"last": 0}}) for key in KEYS]
        for session in sessions:
            await store.insert(session)
        writers = [
            asyncio.create_task(write_until_it_fails(store, [session])) for session in sessions[:4]
        ]
        writers.append(asyncio.create_task(write_until_it_fails(store, sessions[4:])))
        await _until(store, version=10)

        server.kill()
        acknowledged = [session for writer in writers for session in await writer]
        server.start()
        await asyncio.to_thread(wait_until_answering, server)

        found = await _load(store)
        for session in acknowledged:
            record = found[session.key]
            assert isinstance(record, Session)
            attributes = record.contexts["/"]
            # The write that was under way when it died is there as a whole, or not at all.
            assert record.version in {session.version, session.version + 1}
            assert attributes["last"] == record.version - 1
            assert len(attributes) == record.version
        await store.close()


async def _until(store: SessionStore, version: int) -> None:
    async with asyncio.timeout(30):
        while min(mark.version for mark in (await store.confirm(KEYS)).values()) < version:
            pass


async def _load(store: SessionStore) -> dict[str, object]:
    async with asyncio.timeout(30):
        while True:
            try:
                return dict(await store.load(KEYS))
            except StoreError:
                continue
