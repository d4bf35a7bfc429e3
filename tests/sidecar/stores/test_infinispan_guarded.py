"""An Infinispan server that somebody guards: TLS, users with few rights, and a bound on a cache."""

from collections.abc import Iterator

import pytest
from moorline_sidecar.domain.session import Tombstone
from moorline_sidecar.errors import StoreRefused
from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.diagnosis import Diagnosis

from tests.contract.backends import cache_store
from tests.contract.sessions import (
    an_end,
    inserted,
    stored,
    with_attributes,
    written,
)
from tests.infinispan_guarded import MODEST, GuardedServer
from tests.infinispan_raw import raw_connection
from tests.sidecar.stores.failing import NEW, SESSIONS, TO_BE
from tests.stores_fixtures import running_database

ENCODED = '<encoding media-type="application/x-protostream"/>'
SECURED = "<security><authorization/></security>"
BOUND = (
    '<transaction mode="FULL_XA" locking="OPTIMISTIC"/>'
    f'<memory max-count="{len(SESSIONS)}" when-full="EXCEPTION"/>'
)


@pytest.fixture(scope="module")
def server() -> Iterator[GuardedServer]:
    with running_database(GuardedServer) as server:
        yield server


async def check(uri: str) -> Diagnosis:
    store = cache_store(uri)
    try:
        return await store.check()
    finally:
        await store.close()


async def make(server: GuardedServer, *caches: str, settings: str) -> None:
    """Make caches before the store does."""
    async with raw_connection(server.uri) as raw:
        for cache in caches:
            text = f'<local-cache name="{cache}">{ENCODED}{settings}</local-cache>'
            arguments = {"name": cache, "configuration": text}
            await raw.ask(wire.execute("@@cache@getorcreate", arguments))


async def test_a_certificate_has_to_be_trusted(server: GuardedServer) -> None:
    unknown, _, _ = server.uri.partition("?")

    trusted, refused = await check(server.uri), await check(unknown)
    unnamed = await check(server.uri.replace("localhost", "127.0.0.1"))

    assert (refused.reason, trusted.reason, unnamed.reason) == ("TLSFailed", "Ready", "TLSFailed")


async def test_who_comes_without_tls_is_out_of_reach(server: GuardedServer) -> None:
    plain, _, _ = server.uri.replace("hotrods:", "hotrod:").partition("?")

    assert (await check(plain)).reason == "Unreachable"


async def test_a_user_who_reads_and_writes_is_enough_where_somebody_has_made_the_caches(
    server: GuardedServer,
) -> None:
    await make(server, "theirs", "theirs.workers", settings=SECURED)
    await (admin := cache_store(server.uri, "theirs")).prepare()
    store = cache_store(server.uri_of(MODEST, MODEST), "theirs")

    assert (await store.check()).is_ready
    session = await inserted(store, principal="ada")
    assert [found.key for found in await store.by_principal("ada", None, 10)] == [session.key]
    assert await written(store, with_attributes(session, TO_BE)) is Outcome.APPLIED
    assert await written(store, an_end(session.key)) is Outcome.APPLIED
    assert isinstance(await stored(admin), Tombstone)
    for each in (store, admin):
        await each.close()


async def test_a_user_who_may_make_no_caches_is_told_so(server: GuardedServer) -> None:
    store = cache_store(server.uri_of(MODEST, MODEST), "nowhere")

    diagnosis = await store.check()

    assert diagnosis.reason == "AuthenticationFailed"
    assert "may not do what is needed" in diagnosis.detail
    await store.close()


async def test_a_full_cache_refuses_new_sessions_and_nothing_else(server: GuardedServer) -> None:
    await make(server, "full", settings=BOUND)
    store = cache_store(server.uri, "full")
    await store.prepare()
    for session in SESSIONS:
        await store.insert(session)

    with pytest.raises(StoreRefused):
        await store.insert(NEW)
    outcomes = await store.write([with_attributes(SESSIONS[0], TO_BE), an_end("1")])

    assert outcomes == [Outcome.APPLIED, Outcome.APPLIED]
    assert await stored(store, "new") is None
    await store.close()
