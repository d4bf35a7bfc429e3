import asyncio
from typing import Any

import pytest
from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.diagnosis import Diagnosis
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.mongodb_client import Connection
from moorline_sidecar.stores.mongodb_diagnosis import diagnose
from moorline_sidecar.stores.mongodb_errors import readable, store_error
from moorline_sidecar.stores.mongodb_indexes import NAMES
from moorline_sidecar.stores.uri_source import UriSource
from pymongo.errors import (
    AutoReconnect,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.errors import (
    ConfigurationError as DriverConfigurationError,
)
from pymongo.hello import Hello
from pymongo.server_description import ServerDescription

from tests.contract.backends import DATABASE
from tests.sidecar.stores.fail_points import FailPoints
from tests.stores_fixtures import GIVES_UP_CONNECTIONS

pytestmark = GIVES_UP_CONNECTIONS


def server(
    reply: dict[str, Any] | None = None, error: Exception | None = None
) -> ServerDescription:
    hello = None if reply is None else Hello({"ok": 1, "maxWireVersion": 27, **reply})
    return ServerDescription(("db.example", 27017), hello, error=error)


SECONDARY = server({"secondary": True, "setName": "rs0", "hosts": ["db.example:27017"]})
SELECTION = ServerSelectionTimeoutError("No servers match selector, Timeout: 2.5s, Topology: …")

CASES: dict[str, tuple[PyMongoError, list[ServerDescription], str]] = {
    "a wrong password": (OperationFailure("no", 18), [], "AuthenticationFailed"),
    "a wrong password at Atlas": (OperationFailure("bad auth", 8000), [], "AuthenticationFailed"),
    "no rights": (OperationFailure("not authorized on d", 13), [], "AuthenticationFailed"),
    "a name that is not there": (
        SELECTION,
        [server(error=AutoReconnect("db.example:27017: [Errno -2] Name or service not known"))],
        "NameNotResolved",
    ),
    "no records of srv": (DriverConfigurationError("The DNS query"), [], "NameNotResolved"),
    "an old server": (
        DriverConfigurationError("Server at h reports wire version 5, but requires at least 8"),
        [],
        "UnsupportedVersion",
    ),
    "a certificate": (
        SELECTION,
        [server(error=AutoReconnect("SSL handshake failed: certificate verify failed"))],
        "TLSFailed",
    ),
    "nobody listens": (
        SELECTION,
        [server(error=AutoReconnect("db.example:27017: [Errno 111] Connect call failed"))],
        "Unreachable",
    ),
    "no answer": (SELECTION, [server(error=AutoReconnect("timed out"))], "Unreachable"),
    "a replica set without a primary": (SELECTION, [SECONDARY], "NotPrimary"),
    "a member that stepped down": (NotPrimaryError("x", {"code": 10107}), [], "NotPrimary"),
}


@pytest.mark.parametrize(("error", "servers", "reason"), CASES.values(), ids=CASES.keys())
def test_why_a_server_is_out_of_reach(
    error: PyMongoError, servers: list[ServerDescription], reason: str
) -> None:
    translated = store_error(error, was_sent=False)
    translated.__cause__ = error

    diagnosis = diagnose(translated, servers)

    assert diagnosis.reason == reason
    assert diagnosis.detail
    assert not diagnosis.is_ready


def test_an_error_is_told_in_a_line_without_credentials() -> None:
    error = OperationFailure(
        "no\nentry for mongodb://ada:s3cret@db.example/", 18, {"password": "s3cret"}
    )
    assert readable(error) == "OperationFailure: no"
    error = OperationFailure("no entry for mongodb://ada:s3cret@db.example/", 18, {"a": "s3cret"})
    assert readable(error) == "OperationFailure: no entry for mongodb://db.example/"


async def check(uri: str, collection: str = "sessions") -> Diagnosis:
    store = MongoStore(Connection(UriSource(SecretText(uri))), DATABASE, collection)
    try:
        return await store.check()
    finally:
        await store.close()


async def test_a_server_in_reach_is_ready(mongo_uri: str, mongo_collection: str) -> None:
    diagnosis = await check(mongo_uri, mongo_collection)

    assert diagnosis.is_ready
    assert diagnosis.server.startswith("MongoDB ")
    assert diagnosis.indexes == NAMES


async def test_a_server_that_speaks_no_tls_fails_at_that() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What MongoDB does with what it does not understand."""
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        diagnosis = await check(f"mongodb://127.0.0.1:{port}/?tls=true")

    assert diagnosis.reason == "TLSFailed"


REACHED_IN_VAIN = {
    "nobody listens": ("mongodb://ada:s3cret@127.0.0.1:1", "Unreachable"),
    "no such name": ("mongodb://ada:s3cret@nobody.invalid", "NameNotResolved"),
    "no such records": ("mongodb+srv://ada:s3cret@nobody.example.invalid", "NameNotResolved"),
}


@pytest.mark.parametrize(("uri", "reason"), REACHED_IN_VAIN.values(), ids=REACHED_IN_VAIN.keys())
async def test_what_is_found_out_by_trying(uri: str, reason: str) -> None:
    diagnosis = await check(uri)

    assert diagnosis.reason == reason
    assert "s3cret" not in diagnosis.detail


async def test_a_uri_that_is_not_there_is_named() -> None:
    source = UriSource(SecretFile("/nowhere/uri", ()))
    diagnosis = await MongoStore(Connection(source), DATABASE, "sessions").check()

    assert (diagnosis.reason, "/nowhere/uri" in diagnosis.detail) == ("SecretNotFound", True)


async def test_a_user_without_rights_is_told_what_is_missing(
    mongo_uri: str, mongo_collection: str, fail: FailPoints
) -> None:
    await fail.next("createIndexes", errorCode=13)

    diagnosis = await check(mongo_uri, mongo_collection)

    assert diagnosis.reason == "AuthenticationFailed"
    assert NAMES[0] in diagnosis.detail


async def test_a_user_without_rights_needs_none_when_the_indexes_are_there(
    mongo_uri: str, mongo_collection: str, fail: FailPoints
) -> None:
    await check(mongo_uri, mongo_collection)
    await fail.next("createIndexes", errorCode=13)

    assert (await check(mongo_uri, mongo_collection)).is_ready


def test_an_index_in_the_way_is_a_reason_of_its_own() -> None:
    assert diagnose(ConfigurationError(["an index is in the way"])).reason == "IndexConflict"


def test_what_has_no_driver_behind_it_is_told_too() -> None:
    error = store_error(AutoReconnect("broken"), was_sent=False)

    assert diagnose(error).detail.endswith("(StoreUnavailable: AutoReconnect: broken)")
