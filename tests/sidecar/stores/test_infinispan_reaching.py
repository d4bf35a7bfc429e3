"""Why an Infinispan server is out of reach, and what becomes of a URI that changes."""

import asyncio
from pathlib import Path

import pytest
from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.stores.diagnosis import Diagnosis
from moorline_sidecar.stores.infinispan import infinispan_store
from moorline_sidecar.stores.infinispan_uri import Address, target_of
from moorline_sidecar.stores.uri_source import UriSource

from e2e.app.infinispan import SECOND_USER, InfinispanServer
from tests.contract.backends import cache_store
from tests.contract.sessions import inserted, stored
from tests.infinispan_raw import emptied
from tests.sidecar.stores.deaf_servers import check_deaf

SECRET = "s3cret"
CACHE = "reaching"


async def check(uri: str) -> Diagnosis:
    store = infinispan_store(UriSource(SecretText(uri)), CACHE)
    try:
        return await store.check()
    finally:
        await store.close()


async def test_a_server_in_reach_is_ready(infinispan: InfinispanServer) -> None:
    diagnosis = await check(infinispan.uri)

    assert diagnosis.is_ready, diagnosis.detail
    assert diagnosis.server.startswith("Infinispan, Hot Rod 4")
    assert diagnosis.indexes == (CACHE, f"{CACHE}.workers")


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        pytest.param("127.0.0.1:1", "Unreachable", id="nobody listens"),
        pytest.param("nobody.invalid:11222", "NameNotResolved", id="no such name"),
    ],
)
async def test_what_is_found_out_by_trying(host: str, reason: str) -> None:
    diagnosis = await check(f"hotrod://ada:{SECRET}@{host}")

    assert diagnosis.reason == reason
    assert SECRET not in diagnosis.detail


async def test_the_next_server_answers_where_the_first_does_not(
    infinispan: InfinispanServer,
) -> None:
    user_information = infinispan.uri_of("moorline", "moorline", 1)

    diagnosis = await check(f"{user_information},127.0.0.1:{infinispan.port}")

    assert diagnosis.is_ready, diagnosis.detail


@pytest.mark.parametrize(
    ("user", "password"),
    [
        pytest.param("nobody", SECRET, id="no such user"),
        pytest.param(SECOND_USER, SECRET, id="another password"),
    ],
)
async def test_a_server_turns_away_whom_it_does_not_know(
    infinispan: InfinispanServer, user: str, password: str
) -> None:
    diagnosis = await check(infinispan.uri_of(user, password))

    assert diagnosis.reason == "AuthenticationFailed"
    assert SECRET not in diagnosis.detail


async def test_nobody_may_do_anything_without_a_user(infinispan: InfinispanServer) -> None:
    diagnosis = await check(f"hotrod://127.0.0.1:{infinispan.port}")

    assert diagnosis.reason == "AuthenticationFailed", diagnosis.detail


async def test_a_server_that_speaks_no_tls_fails_at_that(infinispan: InfinispanServer) -> None:
    diagnosis = await check(infinispan.uri.replace("hotrod:", "hotrods:"))

    assert diagnosis.reason == "TLSFailed", diagnosis.detail


async def test_a_server_that_hangs_up_or_says_nothing_is_out_of_reach() -> None:
    await check_deaf(check, f"hotrod://ada:{SECRET}@127.0.0.1:{{}}")


async def test_what_speaks_something_else_is_named() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        diagnosis = await check(f"hotrod://127.0.0.1:{port}")

    assert diagnosis.reason == "UnsupportedVersion", diagnosis.detail


async def test_credentials_that_change_are_read_again(
    infinispan: InfinispanServer, tmp_path: Path
) -> None:
    await emptied(infinispan.uri, CACHE)
    secret = tmp_path / "uri"
    secret.write_text(infinispan.uri_of(SECOND_USER, SECRET))
    seconds = 0.0
    source = UriSource(SecretFile(str(secret), ()), lambda: seconds)
    store = infinispan_store(source, CACHE)
    with pytest.raises(StoreUnavailable) as raised:
        await store.now()
    assert SECRET not in str(raised.value)

    secret.write_text(infinispan.uri_of(SECOND_USER, SECOND_USER))
    seconds += 1

    await store.prepare()
    session = await inserted(store)
    assert await stored(store) == session
    await store.close()


async def test_a_uri_that_is_not_there_is_named() -> None:
    source = UriSource(SecretFile("/nowhere/uri", (), "shop-cache"), member="infinispan")
    store = infinispan_store(source, CACHE)

    diagnosis = await store.check()

    assert diagnosis.reason == "SecretNotFound"
    assert "spec.backend.infinispan.connectionSecretRef" in diagnosis.detail
    await store.close()


def test_a_uri_says_where_the_servers_are_and_who_we_are() -> None:
    target = target_of("hotrod://ada:p%40ss%3A@a,[::1]:11333")

    assert target.addresses == (Address("a", 11_222), Address("::1", 11_333))
    assert (target.user, target.password, target.tls) == ("ada", "p@ss:", None)
    assert target_of("hotrods://a").tls is not None


WRONG = {
    "another kind": f"redis://ada:{SECRET}@a:5701",
    "a port that is no number": f"hotrod://ada:x@a:{SECRET}",
    "a path": f"hotrod://ada:{SECRET}@a/sessions",
    "no host": f"hotrod://ada:{SECRET}@",
    "an option that is not known": f"hotrods://a/?token={SECRET}",
    "a file that is not there": f"hotrods://a/?ca_file=/nowhere/{SECRET}",
    "files without tls": f"hotrod://a/?ca_file={SECRET}",
    "no address": f"hotrod://[{SECRET}",
}


@pytest.mark.parametrize("uri", WRONG.values(), ids=WRONG.keys())
def test_a_uri_that_is_of_no_use_is_refused_without_its_content(uri: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        cache_store(uri)

    assert SECRET not in str(raised.value)
