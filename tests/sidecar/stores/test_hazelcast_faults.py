"""What a Hazelcast store answers when a call goes wrong: perhaps applied, or surely not."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from hazelcast.core import HazelcastJsonValue
from moorline_sidecar.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.hazelcast import HazelcastStore

from e2e.app.hazelcast import GUARDED, HazelcastMember
from tests.contract.backends import map_store
from tests.contract.sessions import (
    a_session,
    an_end,
    stored_session,
    with_attributes,
    written,
)
from tests.lossy_link import LossyLink, lossy_link
from tests.sidecar.stores import failing
from tests.sidecar.stores.crashes import until_it_answers
from tests.sidecar.stores.failing import EVERYTHING, KEYS, NEW, SESSIONS, TO_BE, WRITES, fill
from tests.sidecar.stores.hazelcast_raw import raw_map

# What only the request to change something holds.
HOLDS: Final = {
    "insert": b"by the insert",
    "one change": b"to be",
    "an end": b'"reason":"logout"',
    "many": b"to be",
    "touch": b"node7",
    "settle": b'"renewOf":"origin"',
    "discard": b'"renewOf":"origin"',
}


@pytest.fixture
async def store(hazelcast: HazelcastMember, mongo_collection: str) -> AsyncIterator[HazelcastStore]:
    store = map_store(hazelcast.uri, mongo_collection)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
async def link(hazelcast: HazelcastMember) -> AsyncIterator[LossyLink]:
    async with lossy_link(hazelcast.uri) as link:
        yield link


@pytest.fixture
async def linked(link: LossyLink, mongo_collection: str) -> AsyncIterator[HazelcastStore]:
    """The same data as `store`, over the link."""
    store = map_store(f"hazelcast://127.0.0.1:{link.port}", mongo_collection)
    await store.now()
    yield store
    await store.close()


@pytest.mark.parametrize(("name", "holds"), HOLDS.items(), ids=HOLDS.keys())
async def test_a_write_whose_answer_was_lost_may_have_been_applied(
    store: HazelcastStore, linked: HazelcastStore, link: LossyLink, name: str, holds: bytes
) -> None:
    await failing.check_lost_answer(store, linked, WRITES[name], link.lose_answer_after, holds)


async def test_writes_whose_answers_were_lost_are_known_again(
    store: HazelcastStore, linked: HazelcastStore, link: LossyLink
) -> None:
    await failing.check_known_again(store, linked, link.lose_answer_after, b"to be")


async def test_an_insert_whose_answer_was_lost_is_known_again(
    store: HazelcastStore, linked: HazelcastStore, link: LossyLink
) -> None:
    await failing.check_insert_known_again(store, linked, link.lose_answer_after, b"by the insert")


async def test_a_connection_that_went_stale_is_replaced_unnoticed(
    store: HazelcastStore, linked: HazelcastStore, link: LossyLink
) -> None:
    await failing.check_stale_connection(store, linked, link)


async def test_a_cluster_out_of_reach_is_unavailable_and_comes_back(
    store: HazelcastStore, linked: HazelcastStore, link: LossyLink
) -> None:
    await failing.check_out_of_reach(store, linked, link)


async def test_a_call_that_gets_no_answer_ends_in_time_and_tells_what_it_may_have_done(
    store: HazelcastStore, linked: HazelcastStore, link: LossyLink
) -> None:
    await fill(store)
    before = await store.load(KEYS)
    # Nobody waits for counting what would be purged: it may take longer.
    calls = {name: call for name, call in EVERYTHING.items() if name != "purgeable"}
    link.stall()

    async with asyncio.timeout(10):
        found = await failing.outcomes(linked, calls)

    # What has to read first had sent nothing yet.
    sent = {"insert", "one change", "many"}
    assert found == {name: OutcomeUnknown if name in sent else StoreUnavailable for name in found}
    assert await store.load(KEYS) == before
    await link.close()
    await link.open()
    await until_it_answers(linked)
    assert await linked.load(KEYS) == before


async def test_a_call_that_is_given_up_before_it_was_sent_is_never_applied(
    store: HazelcastStore, linked: HazelcastStore, link: LossyLink
) -> None:
    await failing.check_never_sent(store, linked, link)


async def test_half_open_a_write_is_in_doubt_and_every_call_ends_in_time(
    store: HazelcastStore, linked: HazelcastStore, link: LossyLink
) -> None:
    await failing.check_half_open(store, linked, link)


async def test_calls_that_are_given_up_at_any_moment_apply_whole_or_not_at_all(
    store: HazelcastStore,
) -> None:
    await failing.check_given_up(store, step_seconds=0.0005)


async def test_a_frozen_member_is_given_up_in_time_and_served_from_again(
    hazelcast: HazelcastMember, store: HazelcastStore
) -> None:
    await fill(store)
    assert hazelcast.pid is not None
    os.kill(hazelcast.pid, signal.SIGSTOP)
    try:
        wait_until_stopped(hazelcast.pid)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.load(["0"])
        with pytest.raises(OutcomeUnknown):
            await store.write([with_attributes(SESSIONS[0], TO_BE)])
        newcomer = map_store(hazelcast.uri)
        with pytest.raises(StoreUnavailable):
            await newcomer.load(["0"])
        seconds = time.monotonic() - began
    finally:
        os.kill(hazelcast.pid, signal.SIGCONT)

    assert seconds < 15
    await until_it_answers(store)
    await until_it_answers(newcomer)
    # What was in doubt was only late.
    async with asyncio.timeout(30):
        while (await stored_session(store, "0")).version == 1:
            pass
    await newcomer.close()


def wait_until_stopped(pid: int) -> None:
    """The signal is answered thread by thread."""
    deadline = time.monotonic() + 30
    while {state_of(stat) for stat in Path(f"/proc/{pid}/task").glob("*/stat")} != {"T"}:
        assert time.monotonic() < deadline, "it is not frozen"


def state_of(stat: Path) -> str:
    # The name, in parentheses, may hold anything.
    return stat.read_text().rpartition(")")[2].split()[0]


async def test_of_two_writers_of_one_version_one_is_told_of_the_other(
    store: HazelcastStore, linked: HazelcastStore
) -> None:
    await failing.check_two_writers(store, linked)


async def test_a_writer_against_a_logout_leaves_the_session_ended(
    store: HazelcastStore, linked: HazelcastStore
) -> None:
    await failing.check_race_with_logout(store, linked)


async def test_a_minority_serves_nothing_where_the_map_is_protected(
    hazelcast: HazelcastMember,
) -> None:
    store = map_store(hazelcast.uri, GUARDED)
    calls = (store.insert(NEW), store.write([an_end("0")]), store.load(["0"]))

    results = await asyncio.gather(*calls, return_exceptions=True)

    # Nothing was begun: it may be repeated.
    assert [type(result) for result in results] == [StoreUnavailable] * 3
    await store.close()


async def test_a_value_that_is_no_session_is_nobodys(
    hazelcast: HazelcastMember, store: HazelcastStore, mongo_collection: str
) -> None:
    await fill(store)
    async with raw_map(hazelcast, mongo_collection) as raw:
        await raw.put("taken", HazelcastJsonValue('{"user": "ada"}'))

    assert await store.load(["0", "taken"]) == {"0": SESSIONS[0]}
    assert await written(store, an_end("taken")) is Outcome.ABSENT
    with pytest.raises(AlreadyExists):
        await store.insert(a_session("taken"))
