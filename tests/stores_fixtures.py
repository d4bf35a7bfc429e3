"""Real store servers for any test, started once per test run; a plugin of tests/conftest.py."""

import gc
import importlib.util
import itertools
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from moorline_sidecar.stores.embedded import POLL_SECONDS, EmbeddedServer
from pymongo import MongoClient

from e2e.app.databases import (
    Database,
    DatabaseT,
    MariaDBServer,
    MemcachedServer,
    NotInstalled,
    PostgreSQLServer,
    RedisServer,
    running,
)
from e2e.app.datastore import DatastoreServer
from e2e.app.hazelcast import HazelcastMember, running_members
from e2e.app.infinispan import InfinispanServer, running_cluster
from e2e.app.mysql_server import MySQLServer
from e2e.app.pgbouncer import TRANSACTION, PgBouncer
from e2e.ports import free_port

_collections = itertools.count()

ANSWER_SECONDS = 60.0
"""For what takes one or two, on a machine that has much to do."""

GIVES_UP_CONNECTIONS = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("forgotten_sockets"),
]
"""The marks of tests in which the driver gives up connecting: it forgets to close the socket."""


@contextmanager
def running_server(folder: Path, *options: str) -> Iterator[EmbeddedServer]:
    """A MongoDB-compatible server with fail points, for a test that kills it or looks into it."""
    if importlib.util.find_spec("secantus") is None:
        pytest.skip("secantusdb is not installed")
    server = EmbeddedServer(folder, ["--enable-test-commands", *options], port=free_port())
    server.start()
    try:
        wait_until_answering(server)
        yield server
    finally:
        server.stop()


@contextmanager
def durable_server(folder: Path) -> Iterator[EmbeddedServer]:
    """One that keeps all that it acknowledged through `kill`, as MongoDB does for a majority."""
    with running_server(folder, "--sync-on-commit") as server:
        make_tables(server.uri, "sessions", "sessions")
        yield server


def make_tables(uri: str, database: str, collection: str) -> None:
    """Have a server keep these sessions in files that are whole.

    SecantusDB makes a file at the first insert; killed in that moment it never starts again.
    """
    with MongoClient[dict[str, Any]](uri) as client:
        for name in (collection, f"{collection}.workers"):
            client[database][name].insert_one({"_id": ""})
            client[database][name].delete_one({"_id": ""})


def wait_until_answering(server: EmbeddedServer) -> None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while not server.is_answering():
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(POLL_SECONDS)


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """The server that all tests share, each with a collection of its own."""
    with running_server(tmp_path_factory.mktemp("mongo")) as server:
        yield server


@pytest.fixture
def forgotten_sockets() -> Iterator[None]:
    """Lets the sockets that a test left behind go, before they show up in another one."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def mongo_uri(mongo_server: EmbeddedServer) -> str:
    return mongo_server.uri


@pytest.fixture
def mongo_collection() -> str:
    """The name of a collection that no other test uses, in whatever database."""
    return f"sessions{next(_collections)}"


@contextmanager
def running_database(kind: type[DatabaseT], *options: str) -> Iterator[DatabaseT]:
    """A server of one's own; the test is skipped, by name, where it is not installed."""
    try:
        with running(kind, *options) as server:
            yield server
    except NotInstalled as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Database]:
    """The server that all tests share, each with a table of its own."""
    # A crash of the machine is none of the tests.
    with running_database(PostgreSQLServer, "fsync=off", "max_connections=200") as server:
        yield server


@pytest.fixture(scope="session")
def pgbouncer(postgresql: Database) -> Iterator[Database]:
    """The same server behind a pooler, which gives whoever begins a transaction another process."""
    with running_database(PgBouncer, str(postgresql.port), *TRANSACTION) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Database]:
    """The same."""
    with running_database(MariaDBServer, "--innodb-flush-log-at-trx-commit=2") as server:
        yield server


@pytest.fixture(scope="session")
def mysql() -> Iterator[MySQLServer]:
    """The same; without its log for replicas, which would be written to the disk twice."""
    at_rest = "--innodb-fast-shutdown=2"  # Its data are gone anyway.
    options = ("--innodb-flush-log-at-trx-commit=2", "--skip-log-bin", at_rest)
    with running_database(MySQLServer, *options) as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Database]:
    """The same, each with a prefix of its own."""
    with running_database(RedisServer, "--appendfsync", "no") as server:
        yield server


@pytest.fixture(scope="session")
def memcached() -> Iterator[MemcachedServer]:
    """The server that all tests share, each under names of its own."""
    with running_database(MemcachedServer) as server:
        yield server


@contextmanager
def hazelcast_members(number: int) -> Iterator[list[HazelcastMember]]:
    """A cluster of its own; the test is skipped, by name, where it is not installed."""
    try:
        with running_members(number) as members:
            yield members
    except NotInstalled as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def hazelcast() -> Iterator[HazelcastMember]:
    """The member that all tests share, each with a map of its own."""
    with hazelcast_members(1) as (member,):
        yield member


@contextmanager
def infinispan_cluster(number: int) -> Iterator[list[InfinispanServer]]:
    """A cluster of its own; the test is skipped, by name, where it is not installed."""
    try:
        with running_cluster(number) as servers:
            yield servers
    except NotInstalled as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def infinispan() -> Iterator[InfinispanServer]:
    """The server that all tests share, each with a cache of its own."""
    with running_database(InfinispanServer) as server:
        yield server


@pytest.fixture(scope="session")
def datastore() -> Iterator[DatastoreServer]:
    """The server that all tests share, each with a kind of its own."""
    with running_database(DatastoreServer) as server:
        yield server
