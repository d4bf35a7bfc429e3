"""A stream tells of every change and end, and where it goes on after a break."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import StreamUnsupported
from moorline_sidecar.stores.base import Heard, Purge, PurgeKind, Seen, SessionStore, Stream

from tests.contract.backends import BACKENDS, STREAMING, Connect
from tests.contract.sessions import (
    T0,
    a_touch,
    an_end,
    changed,
    inserted,
    with_attributes,
    written,
)

SECONDS = 30
"""For what is told at once, on a machine that has much to do."""


@pytest.fixture(params=STREAMING)
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    async with BACKENDS[request.param](request) as connect:
        yield connect


async def told(stream: Stream, number: int) -> list[Seen]:
    """The next so many events, without their times."""
    seen: list[Seen] = []
    async with asyncio.timeout(SECONDS):
        while len(seen) < number:
            seen.extend((await stream.receive(0)).seen)
    return [Seen(key=s.key, version=s.version, is_valid=s.is_valid, reason=s.reason) for s in seen]


async def until_complete(stream: Stream, asked_at: int) -> Heard:
    """The first reply after which all is told that was acknowledged before this call."""
    async with asyncio.timeout(SECONDS):
        while True:
            heard = await stream.receive(asked_at)
            if heard.complete_until is not None and heard.complete_until >= asked_at:
                return heard


async def test_changes_and_ends_are_told_in_order(store: SessionStore, other: SessionStore) -> None:
    session = await inserted(store)
    async with other.watch() as stream:
        change = with_attributes(session, {"user": "grace"})
        await written(store, change)
        await written(store, changed(change.after, principal="grace"))
        await written(store, an_end(reason=Reason.ADMIN))
        assert await told(stream, 3) == [
            Seen(key="session-1", version=2),
            Seen(key="session-1", version=3),
            Seen(key="session-1", version=4, is_valid=False, reason=Reason.ADMIN),
        ]


async def test_own_writes_are_told_too(store: SessionStore) -> None:
    session = await inserted(store)
    async with store.watch() as stream:
        await written(store, with_attributes(session, {"user": "grace"}))
        assert await told(stream, 1) == [Seen(key="session-1", version=2)]


async def test_a_renewed_session_is_told_as_one_that_ended(store: SessionStore) -> None:
    await inserted(store)
    async with store.watch() as stream:
        end = an_end(reason=Reason.RENEWED, renewed_to="session-2", grace_until=T0 + 15_000)
        await written(store, end)
        (seen,) = await told(stream, 1)
        assert (seen.is_valid, seen.reason) == (False, Reason.RENEWED)


async def test_what_is_deleted_is_told_without_a_version(store: SessionStore) -> None:
    await inserted(store)
    await inserted(store, "copy-1", renew_of="session-1")
    async with store.watch() as stream:
        await store.discard("copy-1", "session-1", 1)
        await store.purge(Purge(kind=PurgeKind.VALID, before=T0 + 1, now=T0 + 10**10), 0)
        assert await told(stream, 2) == [
            Seen(key="copy-1", version=None),
            Seen(key="session-1", version=None),
        ]


async def test_creations_times_and_writes_that_fail_are_not_told(store: SessionStore) -> None:
    async with store.watch() as stream:
        session = await inserted(store)
        stale = with_attributes(session, {"n": 1})
        await store.touch([a_touch(session, T0 + 1_000)])
        await written(store, with_attributes(session, {"n": 2}))
        await written(store, stale)
        await written(store, an_end("nobody"))
        await written(store, an_end())
        assert [seen.version for seen in await told(stream, 2)] == [2, 3]


async def test_a_reply_comes_even_if_nothing_happens(store: SessionStore) -> None:
    async with store.watch() as stream:
        heard = await until_complete(stream, 7)
        assert list(heard.seen) == []
        assert heard.complete_until == 7


async def test_what_is_complete_holds_all_that_was_acknowledged_before(
    store: SessionStore, other: SessionStore
) -> None:
    sessions = [await inserted(store, f"session-{n}") for n in range(20)]
    async with other.watch() as stream:
        seen: set[str] = set()
        for n, session in enumerate(sessions):
            await written(store, with_attributes(session, {"n": n}))
            async with asyncio.timeout(SECONDS):
                while True:
                    heard = await stream.receive(n)
                    seen.update(each.key for each in heard.seen)
                    if heard.complete_until == n:
                        break
            assert session.key in seen


async def test_a_stream_begins_with_what_happens_after_it_is_open(store: SessionStore) -> None:
    session = await inserted(store)
    change = with_attributes(session, {"n": 1})
    await written(store, change)
    async with store.watch() as stream:
        await written(store, with_attributes(change.after, {"n": 2}))
        assert [seen.version for seen in await told(stream, 1)] == [3]


@pytest.mark.parametrize("is_idle", [True, False], ids=["from an empty reply", "from an event"])
async def test_a_stream_goes_on_from_a_token(store: SessionStore, *, is_idle: bool) -> None:
    session = await inserted(store)
    change = with_attributes(session, {"n": 1})
    async with store.watch() as stream:
        if not is_idle:
            await written(store, change)
        token = (await until_complete(stream, 1)).token
    if is_idle:
        await written(store, change)
    await written(store, with_attributes(change.after, {"n": 2}))
    async with store.watch(token) as stream:
        expected = [2, 3] if is_idle else [3]
        assert [seen.version for seen in await told(stream, len(expected))] == expected
        await until_complete(stream, 2)


async def test_more_than_a_reply_holds_is_told_in_several(store: SessionStore) -> None:
    sessions = [await inserted(store, f"session-{n:03}") for n in range(450)]
    async with store.watch() as stream:
        for first in range(0, 450, 50):
            batch = sessions[first : first + 50]
            await store.write([with_attributes(session, {"n": 1}) for session in batch])
        seen = await told(stream, 450)
        assert {each.key for each in seen} == {session.key for session in sessions}


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name not in STREAMING])
async def test_a_store_without_streams_says_so(
    backend: str, request: pytest.FixtureRequest
) -> None:
    async with BACKENDS[backend](request) as connect:
        store = await connect()
        with pytest.raises(StreamUnsupported):
            async with store.watch():
                pass
