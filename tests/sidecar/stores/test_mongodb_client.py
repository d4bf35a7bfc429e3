import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.mongodb_client import Client, Connection, open_client
from moorline_sidecar.stores.uri_source import UriMissing, UriSource

from tests.contract.backends import DATABASE
from tests.contract.sessions import inserted, stored
from tests.stores_fixtures import GIVES_UP_CONNECTIONS

pytestmark = GIVES_UP_CONNECTIONS

NOBODY_LISTENS = "mongodb://127.0.0.1:1/"

ACCEPTED = [
    "mongodb://localhost",
    "mongodb://user:p%40ss@a.example:27017,b.example/?replicaSet=rs0&authSource=admin",
    "mongodb://a.example/?tls=true&tlsCAFile=%2Fetc%2Fssl%2Fcerts%2Fca-certificates.crt",
    "mongodb+srv://user:pass@cluster.example.com/?retryWrites=true&w=majority",
    "mongodb://a.example/?readPreference=primary",
    "mongodb://%2Frun%2Fmongodb.sock",
]


@pytest.mark.parametrize("uri", ACCEPTED)
async def test_a_uri_of_every_kind_is_accepted(uri: str) -> None:
    await open_client(uri).close()


REFUSED = {
    "nothing": ("", "no MongoDB URI"),
    "another database": ("redis://here", "no MongoDB URI"),
    "a port that is no number": ("mongodb://h:port", "no MongoDB URI"),
    "a password that is not encoded": ("mongodb://u:p@ss/word@h/", "no MongoDB URI"),
    "an option that nobody knows": ("mongodb://h/?tlss=true", "option tlss"),
    "a value that is none": ("mongodb://h/?tls=maybe", "option tls"),
    "reads from secondaries": ("mongodb://h/?readPreference=secondary", "lag behind"),
    "reads from the nearest": ("mongodb+srv://h.example.com/?readPreference=nearest", "lag behind"),
    "unacknowledged writes": ("mongodb://h/?w=0", "unacknowledged"),
}


@pytest.mark.parametrize(("uri", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_uri_that_cannot_be_used_is_refused_with_the_reason(uri: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        open_client(uri)


@given(
    secret=st.text(alphabet="s3cr/:@?%&=#[]+. ", min_size=1, max_size=12).map("zq{}zq".format),
    rest=st.sampled_from(
        ["@h:x/", "@h/?tls=maybe", "@h/?w=0", "@[/", "@h/?readPreference=nearest"]
    ),
)
def test_no_piece_of_a_password_is_in_the_reason(secret: str, rest: str) -> None:
    assert "zq" not in _refusal(f"mongodb://ada:{secret}{rest}")


def _refusal(uri: str) -> str:
    try:
        open_client(uri)
    except ConfigurationError as error:
        return str(error)
    # Some can be parsed, if not as they were meant.
    return ""


async def test_a_uri_of_no_use_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError):
        Connection(UriSource(SecretText("mongodb://h/?w=0")))


class Source:
    """A file with a URI, and the clock by which it is looked at."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds = 0.0
        self.opened: list[Client] = []

    def put(self, uri: str) -> None:
        self.path.write_text(uri)
        self.seconds += 1

    def connection(self) -> Connection:
        source = UriSource(SecretFile(str(self.path), ()), lambda: self.seconds)
        return Connection(source, self.open)

    def open(self, uri: str) -> Client:
        client = open_client(uri)
        self.opened.append(client)
        return client


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "uri")


async def test_a_uri_may_come_later(source: Source, mongo_uri: str, mongo_collection: str) -> None:
    store = MongoStore(source.connection(), DATABASE, mongo_collection)
    with pytest.raises(UriMissing, match=str(source.path)):
        await store.now()
    source.put("mongodb://u:secret@h/?w=0")
    with pytest.raises(StoreUnavailable, match="unacknowledged"):
        await store.now()

    source.put(mongo_uri)

    assert await store.now()
    await store.close()


async def test_a_call_that_fails_makes_the_next_one_use_the_uri_that_came_since(
    source: Source, mongo_uri: str, mongo_collection: str
) -> None:
    source.put(NOBODY_LISTENS)
    store = MongoStore(source.connection(), DATABASE, mongo_collection)
    source.put(mongo_uri)
    with pytest.raises(StoreUnavailable):
        await store.now()

    session = await inserted(store)

    assert await stored(store) == session
    await store.close()


async def test_a_uri_that_does_not_change_is_not_opened_again(source: Source) -> None:
    source.put(NOBODY_LISTENS)
    connection = source.connection()
    async with connection.use() as client:
        source.put(NOBODY_LISTENS)
        assert not await connection.refresh(client)

    assert len(source.opened) == 1
    await connection.close()


@pytest.mark.parametrize("broken", ["", "not a uri", "mongodb://h/?w=0"])
async def test_what_works_is_kept_while_the_file_is_broken(source: Source, broken: str) -> None:
    source.put("mongodb://one")
    connection = source.connection()
    async with connection.use() as client:
        source.put(broken)
        assert not await connection.refresh(client)

    async with connection.use() as again:
        assert again is client
    await connection.close()


async def test_calls_under_way_finish_on_the_client_that_is_replaced(
    source: Source, mongo_uri: str
) -> None:
    source.put(mongo_uri)
    connection = source.connection()
    async with connection.use() as before:
        await before.admin.command("ping")
        source.put(mongo_uri + "?appName=other")
        assert await connection.refresh(before)
        async with connection.use() as after:
            assert after is not before
            await asyncio.gather(before.admin.command("ping"), after.admin.command("ping"))
            # Whoever failed on the old one as well is told to use the new one.
            assert await connection.refresh(before)

    with pytest.raises(Exception, match="after close"):
        await before.admin.command("ping")
    assert len(source.opened) == 2
    await connection.close()
