"""Why Redis is out of reach or of no use, and what becomes of credentials that change."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from moorline_sidecar.config.secrets import SecretFile
from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.stores.base import Purge, PurgeKind
from moorline_sidecar.stores.diagnosis import Diagnosis
from moorline_sidecar.stores.redis import redis_store
from moorline_sidecar.stores.redis_diagnosis import flaw_of, product_of
from moorline_sidecar.stores.redis_uri import Address, target_of
from moorline_sidecar.stores.uri_source import UriSource

from e2e.app.databases import Database, RedisServer
from e2e.ports import free_port
from tests.contract.backends import key_value_store
from tests.contract.sessions import a_session, an_end, changed, inserted, stored, written
from tests.sidecar.stores.certificates import self_signed
from tests.sidecar.stores.deaf_servers import check_deaf
from tests.sidecar.stores.redis_keys import raw
from tests.stores_fixtures import running_database

SECRET = "s3cret"


class TlsServer(RedisServer):
    """Redis that speaks TLS alone."""

    def command(self) -> Sequence[str]:
        tls = ("--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no")
        return (*super().command(), *tls)


async def check(uri: str) -> Diagnosis:
    store = key_value_store(uri)
    try:
        return await store.check()
    finally:
        await store.close()


async def test_a_server_in_reach_is_ready(redis: Database) -> None:
    diagnosis = await check(redis.uri)

    assert diagnosis.is_ready
    assert diagnosis.server.startswith("Redis 7.")
    assert "moorline:expiry" in diagnosis.indexes
    assert "appendonly" not in diagnosis.detail


@pytest.mark.parametrize(
    ("options", "reason", "word"),
    [
        pytest.param(
            ("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"),
            *("UnsupportedVersion", "allkeys-lru"),
            id="it evicts",
        ),
        pytest.param(
            # Left alone, it takes a second port that is 10,000 above: one that the kernel gives.
            ("--cluster-enabled", "yes", "--cluster-port", str(free_port())),
            *("UnsupportedVersion", "Cluster"),
            id="a cluster's node",
        ),
        pytest.param(
            ("--maxmemory", "50mb", "--maxmemory-policy", "volatile-lru", "--appendonly", "no"),
            *("Ready", "appendonly is off"),
            id="snapshots only",
        ),
    ],
)
async def test_settings_that_lose_sessions_are_named(
    options: tuple[str, ...], reason: str, word: str
) -> None:
    with running_database(RedisServer, *options) as server:
        diagnosis = await check(server.uri)

    assert diagnosis.reason == reason
    assert word in diagnosis.detail


@pytest.mark.parametrize(
    ("info", "product", "is_good"),
    [
        pytest.param({"redis_version": "6.2.14"}, "Redis 6.2.14", False, id="old"),
        pytest.param({"redis_version": "8.2.1"}, "Redis 8.2.1", True, id="new"),
        pytest.param(
            {"redis_version": "7.2.4", "valkey_version": "9.0.0"}, "Valkey 9.0.0", True, id="valkey"
        ),
        pytest.param({}, "Redis ", False, id="something else"),
    ],
)
def test_the_version_is_looked_at(info: dict[str, str], product: str, *, is_good: bool) -> None:
    assert product_of(info) == product
    assert (flaw_of(info) is None) == is_good


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        pytest.param("redis://ada:{}@127.0.0.1:1", "Unreachable", id="nobody listens"),
        pytest.param("redis://ada:{}@nobody.invalid", "NameNotResolved", id="no such name"),
        pytest.param("redis+sentinel://:{}@127.0.0.1:1/main", "NotPrimary", id="no sentinel"),
    ],
)
async def test_what_is_found_out_by_trying(host: str, reason: str) -> None:
    diagnosis = await check(host.format(SECRET))

    assert diagnosis.reason == reason
    assert SECRET not in diagnosis.detail


async def test_a_certificate_has_to_be_trusted(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    options = ("--tls-cert-file", str(certificate), "--tls-key-file", str(key))
    with running_database(TlsServer, *options) as server:
        uri = f"rediss://localhost:{server.port}/0"
        refused, trusted = await check(uri), await check(f"{uri}?ssl_ca_certs={certificate}")
        unnamed = await check(f"{uri.replace('localhost', '127.0.0.1')}?ssl_ca_certs={certificate}")

    assert (refused.reason, trusted.reason, unnamed.reason) == ("TLSFailed", "Ready", "TLSFailed")


async def test_a_server_that_hangs_up_or_says_nothing_is_out_of_reach() -> None:
    await check_deaf(check, f"redis://ada:{SECRET}@127.0.0.1:{{}}")


async def test_a_right_that_is_missing_is_found_before_the_first_write(redis: Database) -> None:
    async with raw(redis.uri) as client:
        await client.execute_command(
            *("ACL", "SETUSER", "poor", "on", f">{SECRET}", "~moorline:*", "+@all", "-zadd")
        )

    diagnosis = await check(f"redis://poor:{SECRET}@127.0.0.1:{redis.port}")

    assert diagnosis.reason == "AuthenticationFailed"
    assert "lacks a right" in diagnosis.detail


async def test_the_rights_that_the_documentation_names_are_enough(redis: Database) -> None:
    rights = (Path(__file__).parents[3] / "docs" / "stores.md").read_text()
    (line,) = (line for line in rights.splitlines() if line.startswith("ACL SETUSER"))
    _, _, _, _, _, *words = line.split()
    async with raw(redis.uri) as client:
        await client.execute_command("ACL", "SETUSER", "modest", "on", f">{SECRET}", *words)
    store = key_value_store(f"redis://modest:{SECRET}@127.0.0.1:{redis.port}")

    assert (await store.check()).is_ready
    session = await inserted(store, "modest", principal="ada")
    await written(store, changed(session, principal="grace"))
    await written(store, an_end("modest"))
    async with store.watch() as stream:
        await stream.receive(0)
    await store.close()


WRONG = {
    "another kind": f"mongodb://ada:{SECRET}@db/sessions",
    "no host": f"redis://ada:{SECRET}@",
    "no port": f"redis://ada@db:{SECRET}/0",
    "no number": f"redis://db/{SECRET}",
    "several hosts": f"redis://ada:{SECRET}@a,b/0",
    "sentinels without a name": f"redis+sentinel://ada:{SECRET}@a,b",
    "an option that is not known": f"redis://ada@db?decode={SECRET}",
    "a tls option without tls": f"redis://ada:{SECRET}@db?ssl_ca_certs=/etc/passwd",
}


@pytest.mark.parametrize("uri", WRONG.values(), ids=WRONG.keys())
def test_a_uri_that_is_of_no_use_is_refused_without_its_content(uri: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        key_value_store(uri)

    assert SECRET not in str(raised.value)


def test_a_uri_is_read_in_full() -> None:
    target = target_of("valkeys+sentinel://ada:p%40ss@a:1,[::1]/main/3?sentinel_password=x")

    assert target.addresses == (Address("a", 1), Address("::1", 26_379))
    assert (target.service, target.database) == ("main", 3)
    assert target.login == {"username": "ada", "password": "p@ss"}
    assert target.sentinel_login == {"password": "x"}
    assert target.tls is not None


async def test_a_user_that_changes_is_read_again(
    redis: Database, tmp_path: Path, mongo_collection: str
) -> None:
    one, two = f"one_{mongo_collection}", f"two_{mongo_collection}"
    secret = tmp_path / "uri"
    secret.write_text(redis.uri_of("nobody", SECRET))
    seconds = 0.0
    source = UriSource(SecretFile(str(secret), ()), lambda: seconds, member="redis")
    store = redis_store(source, f"{mongo_collection}:")

    with pytest.raises(StoreUnavailable) as raised:
        await store.now()
    assert SECRET not in str(raised.value)
    assert (await store.check()).reason == "AuthenticationFailed"

    async with raw(redis.uri) as client:
        await client.execute_command("ACL", "SETUSER", one, "on", f">{SECRET}", "~*", "+@all")
        secret.write_text(redis.uri_of(one, SECRET))
        seconds += 1
        session = await inserted(store)

        # The server shows out whose user is gone.
        await client.execute_command("ACL", "SETUSER", two, "on", f">{SECRET}", "~*", "+@all")
        await client.execute_command("ACL", "DELUSER", one)
        secret.write_text(redis.uri_of(two, SECRET))
        seconds += 1
        assert await stored(store) == session
    await store.close()


async def test_a_uri_that_is_not_there_is_named() -> None:
    source = UriSource(SecretFile("/nowhere/uri", (), "shop-redis"), member="redis")
    store = redis_store(source, "moorline:")

    diagnosis = await store.check()

    assert diagnosis.reason == "SecretNotFound"
    assert "spec.backend.redis.connectionSecretRef" in diagnosis.detail
    await store.close()


async def test_what_a_person_wrote_by_hand_harms_nobody(
    redis: Database, mongo_collection: str
) -> None:
    prefix = f"{mongo_collection}:"
    store = key_value_store(redis.uri, prefix)
    session = await inserted(store, principal="ada", contexts={"/": {"a": 1}})
    await inserted(store, "deleted", principal="ada", expiry=session.expiry)
    async with raw(redis.uri) as client:
        fields = {'["/","a"]': "no json", "[broken": "x", "expiry": "soon", "more": "1"}
        await client.hset(f"{prefix}session:session-1", mapping=fields)
        await client.delete(f"{prefix}session:deleted")

    found = await stored(store)
    assert found is not None
    assert found.contexts == {"/": {"a": "no json"}}  # type: ignore[union-attr] # a session
    assert [each.key for each in await store.by_principal("ada", None, 9)] == ["session-1"]
    assert [each.key for each in await store.expired(10**15, 9)] == ["session-1"]
    assert await store.count() == 1
    await store.insert(a_session("deleted"))
    assert [each.key for each in await store.by_principal("ada", None, 9)] == ["session-1"]
    everything = Purge(kind=PurgeKind.VALID, before=10**15, now=10**15)
    assert await store.purge(everything, 0) == 2
    assert await store.count() == 0
    await store.close()


async def test_a_password_that_is_not_given_is_named() -> None:
    with running_database(RedisServer, "--requirepass", SECRET) as server:
        store = key_value_store(server.uri)
        diagnosis = await store.check()
        with pytest.raises(StoreUnavailable):
            await store.insert(a_session())
        await store.close()

    assert diagnosis.reason == "AuthenticationFailed"
