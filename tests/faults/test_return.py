"""How soon a sidecar serves again, with the real driver and a real server behind a link."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import pytest
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.ids import hashed_key, new_id
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.errors import OutcomeUnknown, StoreUnavailable
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.stores.embedded import EmbeddedServer
from msgspec import structs

from tests.contract.backends import mongo_store
from tests.faults.link import Link, Weather, open_link
from tests.faults.running import direct_uri
from tests.stores_fixtures import GIVES_UP_CONNECTIONS

pytestmark = GIVES_UP_CONNECTIONS

RETURN_SECONDS: Final = 3.0
"""About one is promised; the machine may be three times slower."""

ASKED: Final = Asked(patch=structs.replace(Patch(context="/"), increment={"n": 1}))


@asynccontextmanager
async def served(link: Link, collection: str) -> AsyncIterator[tuple[Sessions, str]]:
    """A worker behind the link, and the id of a session."""
    store = mongo_store(direct_uri(link.port), collection)
    await store.prepare()
    session_id = new_id()
    async with Sessions(store, Policy(worker="a")) as sessions:
        await sessions.create(session_id, ASKED)
        yield sessions, hashed_key(session_id)
    await store.close()


async def until_refused(sessions: Sessions, key: str) -> None:
    with suppress(StoreUnavailable, OutcomeUnknown):
        while True:
            await sessions.change(key, ASKED, None)


async def until_changed(sessions: Sessions, key: str) -> None:
    async with asyncio.timeout(RETURN_SECONDS):
        while True:
            try:
                await sessions.change(key, ASKED, None)
            except (StoreUnavailable, OutcomeUnknown):
                await asyncio.sleep(0.02)
            else:
                return


@pytest.mark.parametrize(
    "weather",
    [
        pytest.param(lambda: Weather(is_holding=True), id="held"),
        pytest.param(lambda: Weather(is_dropping=True), id="lost"),
    ],
)
async def test_a_store_that_is_back_is_served_from_soon(
    mongo_server: EmbeddedServer, mongo_collection: str, weather: Callable[[], Weather]
) -> None:
    port = int(mongo_server.uri.rstrip("/").rpartition(":")[2])
    async with open_link(port) as link, served(link, mongo_collection) as (sessions, key):
        outage = weather()
        link.begin(outage)
        await until_refused(sessions, key)
        await until_refused(sessions, key)
        link.end(outage)
        await until_changed(sessions, key)


async def test_connections_that_break_do_not_keep_a_sidecar_from_serving(
    mongo_server: EmbeddedServer, mongo_collection: str
) -> None:
    port = int(mongo_server.uri.rstrip("/").rpartition(":")[2])
    async with open_link(port) as link, served(link, mongo_collection) as (sessions, key):
        for _ in range(5):
            link.cut()
            await until_changed(sessions, key)
