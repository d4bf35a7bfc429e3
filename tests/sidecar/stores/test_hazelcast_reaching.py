"""Why a Hazelcast cluster is out of reach, and what becomes of a URI that changes."""

from pathlib import Path

import pytest
from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.stores.diagnosis import Diagnosis
from moorline_sidecar.stores.hazelcast import hazelcast_store
from moorline_sidecar.stores.hazelcast_client import Address, parse_uri
from moorline_sidecar.stores.uri_source import UriSource

from e2e.app.hazelcast import CLUSTER, HazelcastMember
from tests.contract.backends import map_store
from tests.contract.sessions import inserted, stored
from tests.sidecar.stores.deaf_servers import check_deaf

SECRET = "s3cret"


async def check(uri: str, cluster: str = CLUSTER) -> Diagnosis:
    store = hazelcast_store(UriSource(SecretText(uri)), cluster, (), "sessions")
    try:
        return await store.check()
    finally:
        await store.close()


async def test_a_cluster_in_reach_is_ready(
    hazelcast: HazelcastMember, mongo_collection: str
) -> None:
    store = map_store(hazelcast.uri, mongo_collection)

    diagnosis = await store.check()

    assert diagnosis.is_ready
    assert diagnosis.server == "Hazelcast 5.5.0, 1 member"
    assert "expiry" in diagnosis.indexes
    await store.close()


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        pytest.param("127.0.0.1:1", "Unreachable", id="nobody listens"),
        pytest.param("nobody.invalid:5701", "NameNotResolved", id="no such name"),
        pytest.param("127.0.0.1:1,nobody.invalid:5701", "NameNotResolved", id="one of two"),
    ],
)
async def test_what_is_found_out_by_trying(host: str, reason: str) -> None:
    diagnosis = await check(f"hazelcast://ada:{SECRET}@{host}")

    assert diagnosis.reason == reason
    assert SECRET not in diagnosis.detail


async def test_a_cluster_of_another_name_turns_away(hazelcast: HazelcastMember) -> None:
    diagnosis = await check(hazelcast.uri, "another")

    assert diagnosis.reason == "AuthenticationFailed"
    assert "spec.backend.hazelcast.clusterName" in diagnosis.detail


@pytest.mark.filterwarnings("ignore:ssl.:DeprecationWarning")
async def test_a_member_that_speaks_no_tls_fails_at_that(hazelcast: HazelcastMember) -> None:
    diagnosis = await check(f"{hazelcast.uri}/?tls=true")

    assert diagnosis.reason == "TLSFailed", diagnosis.detail


async def test_a_member_that_hangs_up_or_says_nothing_is_out_of_reach() -> None:
    await check_deaf(check, "hazelcast://127.0.0.1:{}")


async def test_credentials_that_change_are_read_again(
    hazelcast: HazelcastMember, tmp_path: Path, mongo_collection: str
) -> None:
    secret = tmp_path / "uri"
    # A member without security knows no users, and turns away whoever says that they are one.
    secret.write_text(f"hazelcast://ada:{SECRET}@{hazelcast.address}")
    seconds = 0.0
    source = UriSource(SecretFile(str(secret), ()), lambda: seconds)
    store = hazelcast_store(source, CLUSTER, (), mongo_collection)
    with pytest.raises(StoreUnavailable) as raised:
        await store.now()
    assert SECRET not in str(raised.value)
    assert (await store.check()).reason == "AuthenticationFailed"

    secret.write_text(hazelcast.uri)
    seconds += 1

    session = await inserted(store)
    assert await stored(store) == session
    await store.close()


async def test_the_members_are_those_of_the_configuration_where_the_uri_names_none(
    hazelcast: HazelcastMember,
) -> None:
    source = UriSource(SecretText("hazelcast://"))
    store = hazelcast_store(source, CLUSTER, [hazelcast.address], "sessions")

    assert await store.now()

    await store.close()


async def test_a_uri_that_is_not_there_is_named() -> None:
    source = UriSource(SecretFile("/nowhere/uri", (), "shop-hazelcast"), member="hazelcast")
    store = hazelcast_store(source, CLUSTER, (), "sessions")

    diagnosis = await store.check()

    assert diagnosis.reason == "SecretNotFound"
    assert "spec.backend.hazelcast.connectionSecretRef" in diagnosis.detail
    await store.close()


URIS = {
    "nothing": ("hazelcast://", Address()),
    "a member": ("hazelcast://hz-0.hz:5701", Address(members=("hz-0.hz:5701",))),
    "members": ("hazelcast://a:5701,[::1]:5702/", Address(members=("a:5701", "[::1]:5702"))),
    "a user": (
        "hazelcast://ada:p%40ss%3A@a:5701",
        Address(members=("a:5701",), user="ada", password="p@ss:"),
    ),
    "tls": (
        "hazelcast://a:5701/?tls=true&tlsCAFile=/ca.pem",
        Address(members=("a:5701",), has_tls=True, files=(("ssl_cafile", "/ca.pem"),)),
    ),
}


@pytest.mark.parametrize(("uri", "address"), URIS.values(), ids=URIS.keys())
def test_a_uri_says_where_the_members_are(uri: str, address: Address) -> None:
    assert parse_uri(uri) == address


WRONG = {
    "another kind": f"redis://ada:{SECRET}@a:5701",
    "no port": f"hazelcast://ada:{SECRET}@a",
    "a port that is no number": f"hazelcast://ada:x@a:{SECRET}",
    "a path": f"hazelcast://ada:{SECRET}@a:5701/sessions",
    "an option that is not known": f"hazelcast://a:5701/?token={SECRET}",
    "a value that is not known": f"hazelcast://a:5701/?tls={SECRET}",
    "no value": f"hazelcast://ada:{SECRET}@a:5701/?tls",
    "no address": f"hazelcast://[{SECRET}",
}


@pytest.mark.parametrize("uri", WRONG.values(), ids=WRONG.keys())
def test_a_uri_that_is_of_no_use_is_refused_without_its_content(uri: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        map_store(uri)

    assert SECRET not in str(raised.value)
