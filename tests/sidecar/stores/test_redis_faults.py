"""What Redis' store answers when a call goes wrong: perhaps applied, or surely not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest
import uvloop
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.errors import (
    OutcomeUnknown,
    StoreRefused,
    StoreUnavailable,
)
from moorline_sidecar.stores.base import End, Outcome, Purge, PurgeKind, Write
from moorline_sidecar.stores.redis import RedisStore
from moorline_sidecar.stores.redis_client import Client
from moorline_sidecar.stores.redis_errors import CALL_ERRORS, failure
from moorline_sidecar.stores.redis_running import exchange

from e2e.app.databases import Database, RedisServer
from tests.contract.backends import key_value_store
from tests.contract.sessions import (
    T0,
    a_session,
    a_touch,
    an_end,
    inserted,
    stored,
    with_attributes,
    written,
)
from tests.lossy_link import LossyLink, lossy_link
from tests.sidecar.stores import failing
from tests.sidecar.stores.crashes import until_it_answers
from tests.sidecar.stores.failing import (
    EVERYTHING,
    KEYS,
    PURGE,
    READS,
    SESSIONS,
    WRITES,
    Call,
    fill,
)
from tests.sidecar.stores.redis_keys import expected_indexes, indexes, raw
from tests.stores_fixtures import running_database

ALL_CALLS: Final = EVERYTHING | {"purge": lambda store: store.purge(PURGE, 0)}
writes = pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())


@pytest.fixture
def prefix(mongo_collection: str) -> str:
    return f"{mongo_collection}:"


@pytest.fixture
async def store(redis: Database, prefix: str) -> AsyncIterator[RedisStore]:
    store = key_value_store(redis.uri, prefix)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
async def link(redis: Database) -> AsyncIterator[LossyLink]:
    async with lossy_link(redis.uri) as link:
        yield link


@pytest.fixture
async def linked(link: LossyLink, prefix: str, store: RedisStore) -> AsyncIterator[RedisStore]:
    """The same data as `store`, over the link."""
    del store
    linked = key_value_store(f"redis://127.0.0.1:{link.port}/0", prefix)
    await linked.now()
    yield linked
    await linked.close()


@writes
async def test_a_write_whose_answer_was_lost_may_have_been_applied(
    store: RedisStore, linked: RedisStore, link: LossyLink, call: Call
) -> None:
    await failing.check_lost_answer(store, linked, call, link.lose_answer_after, b"EVALSHA")


async def test_writes_whose_answer_was_lost_are_known_again(
    store: RedisStore, linked: RedisStore, link: LossyLink
) -> None:
    await fill(store)
    lost: list[Write] = [with_attributes(SESSIONS[0], {"a": 1}), an_end("1")]
    lost.append(with_attributes(SESSIONS[2], {}))
    link.lose_answer_after(b"EVALSHA")

    with pytest.raises(OutcomeUnknown):
        await linked.write(lost)

    assert await linked.write(lost) == [Outcome.APPLIED] * 3
    found = await store.load(["0", "1", "2"])
    assert [record.version for record in found.values()] == [2, 2, 2]


async def test_an_insert_whose_answer_was_lost_is_known_again(
    store: RedisStore, linked: RedisStore, link: LossyLink
) -> None:
    await failing.check_insert_known_again(store, linked, link.lose_answer_after, b"EVALSHA")


async def test_a_read_whose_answer_was_lost_is_asked_again(
    store: RedisStore, linked: RedisStore, link: LossyLink
) -> None:
    session = await inserted(store)
    link.lose_answer_after(b"EVALSHA")

    assert await stored(linked) == session


async def test_connections_that_all_went_stale_are_replaced_unnoticed(
    store: RedisStore, linked: RedisStore, link: LossyLink
) -> None:
    session = await inserted(store)
    await asyncio.gather(*(linked.load(["session-1"]) for _ in range(20)))
    await link.close()
    await link.open()

    change = with_attributes(session, {"a": 1})
    assert await written(linked, change) is Outcome.APPLIED
    assert await stored(linked) == change.after


def test_a_write_on_a_connection_that_broke_meanwhile_was_surely_not_applied(
    redis: Database,
) -> None:
    # `make chaos` with seed 21: uvloop says it with an error of its own, which was answered 500.
    async def send() -> Exception:
        client = Client(redis.uri)
        try:
            async with client.lease() as connection:
                connection._writer.transport.abort()  # type: ignore[union-attr] # noqa: SLF001 nobody else's
                await asyncio.sleep(0)
                await exchange(connection, [("PING",)])
        except CALL_ERRORS as error:
            return error
        finally:
            await client.close()
        raise AssertionError("it was sent")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        error = runner.run(send())
    assert type(failure(error, was_sent=True, replies=0)) is StoreUnavailable


async def test_a_server_out_of_reach_is_unavailable_and_comes_back(
    store: RedisStore, linked: RedisStore, link: LossyLink
) -> None:
    await failing.check_out_of_reach(store, linked, link, ALL_CALLS)


async def test_a_server_that_does_not_answer_is_given_up_in_time(
    store: RedisStore, linked: RedisStore, link: LossyLink
) -> None:
    await fill(store)
    before = await store.load(KEYS)
    # Each has a connection by now: what cannot connect was surely not applied.
    await asyncio.gather(*(linked.load(KEYS) for _ in range(10)))
    link.stall()

    async with asyncio.timeout(10):
        written = await asyncio.gather(
            *(call(linked) for call in WRITES.values()), return_exceptions=True
        )
        read = await asyncio.gather(
            *(call(linked) for call in READS.values()), return_exceptions=True
        )

    assert {type(result) for result in written} == {OutcomeUnknown}
    assert {type(result) for result in read} == {StoreUnavailable}
    assert await store.load(KEYS) == before
    await link.close()
    await link.open()
    await until_it_answers(linked)
    assert await linked.load(KEYS) == before


async def test_calls_that_are_given_up_at_any_moment_apply_whole_or_not_at_all(
    store: RedisStore, redis: Database, prefix: str
) -> None:
    await failing.check_given_up(store, step_seconds=0.0001, times=60)
    assert await indexes(redis.uri, prefix) == await expected_indexes(redis.uri, prefix)


async def test_indexes_fit_the_sessions_whatever_happens_at_once(
    store: RedisStore, redis: Database, prefix: str
) -> None:
    sessions = [
        await inserted(
            store,
            f"s{n}",
            principal="ada" if n % 2 else None,
            expiry=None if n % 3 else T0 + n,
            renew_of="s0" if n % 5 == 1 else None,
        )
        for n in range(40)
    ]

    await asyncio.gather(
        *(store.write([with_attributes(session, {"a": 1})]) for session in sessions[::2]),
        *(store.write([an_end(session.key, now=T0)]) for session in sessions[::3]),
        *(store.write([renewed_by(session)]) for session in sessions[::7]),
        *(store.touch([a_touch(session, T0 + 1)]) for session in sessions[::4]),
        *(store.settle(session.key, "s0") for session in sessions[1::10]),
        *(store.discard(session.key, "s0", 1) for session in sessions[1::5]),
        store.drop_grace(T0 + 1, 3),
        store.purge(Purge(kind=PurgeKind.INVALID, before=T0 + 1, now=T0), 5),
        store.purge(Purge(kind=PurgeKind.VALID, before=T0 + 1, now=T0 + 20), 5),
    )

    found = await indexes(redis.uri, prefix)
    assert found == await expected_indexes(redis.uri, prefix)
    assert await store.count() == sum(
        len(found[name]) for name in ("expiry", "forever", "copies", "ended")
    )


async def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(
    store: RedisStore, redis: Database
) -> None:
    await fill(store)
    async with raw(redis.uri) as client:
        await client.script_flush()

    outcomes = await store.write([with_attributes(SESSIONS[0], {"a": 1}), an_end("1")])

    assert outcomes == [Outcome.APPLIED, Outcome.APPLIED]


async def test_a_full_server_refuses_what_needs_memory_and_nothing_else() -> None:
    with running_database(RedisServer) as server:
        store = key_value_store(server.uri)
        await fill(store)
        async with raw(server.uri) as client:
            await client.config_set("maxmemory", 1)

        with pytest.raises(StoreRefused):
            await store.insert(a_session("new"))
        outcomes = await store.write([with_attributes(SESSIONS[0], {"a": 1}), an_end("1")])
        await store.touch([a_touch(SESSIONS[2], T0 + 9)])

        assert outcomes == [Outcome.REFUSED, Outcome.APPLIED]
        found = await store.load(["0", "1", "2"])
        assert found["0"] == SESSIONS[0]
        assert isinstance(found["1"], Tombstone)
        assert found["2"].accessed == T0 + 9
        await store.close()


async def test_a_primary_without_its_replicas_answers_nothing() -> None:
    options = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "1")
    with running_database(RedisServer, *options) as server:
        store = key_value_store(server.uri)

        found = await failing.outcomes(store, ALL_CALLS)

        # What it is asked about itself it answers.
        assert found.pop("server") is str
        assert set(found.values()) == {StoreUnavailable}
        assert (await store.check()).reason == "NotPrimary"
        await store.close()


def renewed_by(session: Session) -> End:
    return an_end(session.key, now=T0, reason=Reason.RENEWED, grace_until=T0)
