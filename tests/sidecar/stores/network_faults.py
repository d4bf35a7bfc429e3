"""What every store over a network answers when a call goes wrong; imported by the tests of each.

They ask for the fixtures `store` and `linked`, which has the same data over the `link`.
"""

import asyncio
import time
from typing import Final

import pytest
from moorline_sidecar.domain.session import Record
from moorline_sidecar.errors import AlreadyExists, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores.base import CALL_SECONDS, Outcome, SessionStore

from tests.contract.sessions import (
    an_end,
    inserted,
    stored,
    stored_session,
    with_attributes,
    written,
)
from tests.lossy_link import LossyLink
from tests.sidecar.stores import failing
from tests.sidecar.stores.crashes import until_it_answers
from tests.sidecar.stores.failing import NEW, SESSIONS, TO_BE, Lose, fill, in_time

SLACK_SECONDS: Final = 5.0
"""For a machine that has much else to do."""


async def test_writes_whose_answers_were_lost_are_known_again(
    store: SessionStore, unlucky: SessionStore, lose: Lose
) -> None:
    await failing.check_known_again(store, unlucky, lose, b"to be")


async def test_an_insert_whose_answer_was_lost_is_known_again(
    store: SessionStore, unlucky: SessionStore, lose: Lose
) -> None:
    await failing.check_insert_known_again(store, unlucky, lose, b"by the insert")


async def test_a_connection_that_went_stale_is_replaced_unnoticed(
    store: SessionStore, linked: SessionStore, link: LossyLink
) -> None:
    session = await inserted(store)

    async def read_after_a_break() -> Record | None:
        await until_it_answers(linked)
        await link.close()
        await link.open()
        return await stored(linked)

    assert await in_time(read_after_a_break) == session
    change = with_attributes(session, TO_BE)
    assert await in_time(lambda: written(linked, change)) is Outcome.APPLIED


async def test_a_server_out_of_reach_is_unavailable_and_comes_back(
    store: SessionStore, linked: SessionStore, link: LossyLink
) -> None:
    await failing.check_out_of_reach(store, linked, link)


async def test_a_call_that_is_given_up_before_it_was_sent_is_never_applied(
    store: SessionStore, linked: SessionStore, link: LossyLink
) -> None:
    await fill(store)
    link.stall()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await linked.write([an_end("0")])
    await link.close()
    await link.open()
    await until_it_answers(linked)

    assert await stored(store, "0") == SESSIONS[0]


async def test_half_open_a_write_is_in_doubt_and_every_call_ends_in_time(
    store: SessionStore, linked: SessionStore, link: LossyLink
) -> None:
    await fill(store)
    await linked.load(["0"])
    link.swallow_answers()
    began = time.monotonic()

    with pytest.raises(OutcomeUnknown):
        await linked.insert(NEW)
    with pytest.raises(StoreUnavailable):
        await linked.load(["0"])

    assert time.monotonic() - began < 2 * CALL_SECONDS + SLACK_SECONDS
    assert await stored(store, "new") == NEW
    await link.close()
    await link.open()
    await until_it_answers(linked)
    with pytest.raises(AlreadyExists):
        await linked.insert(NEW)


async def test_calls_that_are_given_up_at_any_moment_apply_whole_or_not_at_all(
    store: SessionStore,
) -> None:
    await failing.check_given_up(store, step_seconds=0.0005)


async def test_of_two_writers_of_one_version_one_is_told_of_the_other(
    store: SessionStore, linked: SessionStore
) -> None:
    for n in range(10):
        session = await inserted(store, f"raced-{n}")

        outcomes = await asyncio.gather(
            written(linked, with_attributes(session, {"mine": n})),
            written(store, with_attributes(session, {"yours": n})),
        )

        assert sorted(each.name for each in outcomes) == ["APPLIED", "CONFLICT"]
        found = await stored_session(store, session.key)
        assert found.version == session.version + 1


async def test_a_writer_against_a_logout_leaves_the_session_ended(
    store: SessionStore, linked: SessionStore
) -> None:
    for n in range(10):
        session = await inserted(store, f"raced-{n}")

        changed, ended = await asyncio.gather(
            written(linked, with_attributes(session, TO_BE)), written(store, an_end(session.key))
        )

        assert ended is Outcome.APPLIED
        assert changed in {Outcome.APPLIED, Outcome.ENDED}
        assert not (await store.confirm([session.key]))[session.key].is_valid
