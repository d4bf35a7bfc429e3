"""Why Datastore is out of reach, and what becomes of credentials that change."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.datastore_v1.types import (
    CommitRequest,
    CommitResponse,
    LookupRequest,
    LookupResponse,
)
from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.errors import (
    ConfigurationError,
    OutcomeUnknown,
    StoreUnavailable,
)
from moorline_sidecar.stores.datastore import datastore_store
from moorline_sidecar.stores.datastore_client import WORKLOAD_URI, Address, parse_uri
from moorline_sidecar.stores.datastore_diagnosis import diagnose
from moorline_sidecar.stores.diagnosis import Diagnosis
from moorline_sidecar.stores.uri_source import UriSource

from e2e.app.datastore import DatastoreServer
from tests.contract.backends import entity_store
from tests.contract.sessions import a_session, inserted, stored
from tests.sidecar.stores.deaf_servers import check_deaf

SECRET: Final = "s3cret"

Refuse: Any = Callable[[grpc.aio.ServicerContext], Any]


def key_file() -> str:
    """That of a service account, as Google gives it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "shop-project",
            "private_key_id": "1f",
            "private_key": key.decode(),
            "client_email": "moorline@shop-project.iam.gserviceaccount.com",
            "token_uri": "http://127.0.0.1:1/token",
        }
    )


class Refusing:
    """A Datastore that answers commits, and then lookups, with these codes, one after the other."""

    def __init__(self, *codes: grpc.StatusCode) -> None:
        self._codes = list(codes)

    async def lookup(
        self, request: LookupRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> LookupResponse:
        del request
        await self._refuse(context)
        return LookupResponse()

    async def commit(
        self, request: CommitRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> CommitResponse:
        await self._refuse(context)
        return CommitResponse(mutation_results=[{"version": 1} for _ in request.mutations])

    async def _refuse(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        if self._codes:
            await context.abort(self._codes.pop(0), "as told")


@asynccontextmanager
async def refusing(*codes: grpc.StatusCode) -> AsyncIterator[str]:
    """The URI of such a server."""
    refusing = Refusing(*codes)
    server = grpc.aio.server()
    handlers = {
        "Lookup": grpc.unary_unary_rpc_method_handler(
            refusing.lookup,
            request_deserializer=LookupRequest.deserialize,
            response_serializer=LookupResponse.serialize,
        ),
        "Commit": grpc.unary_unary_rpc_method_handler(
            refusing.commit,
            request_deserializer=CommitRequest.deserialize,
            response_serializer=CommitResponse.serialize,
        ),
    }
    service = "google.datastore.v1.Datastore"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"datastore://127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def check(uri: str) -> Diagnosis:
    store = datastore_store(UriSource(SecretText(uri), member="datastore"), "", "sessions")
    try:
        return await store.check()
    finally:
        await store.close()


async def test_a_datastore_in_reach_is_ready(datastore: DatastoreServer) -> None:
    diagnosis = await check(datastore.uri)

    assert diagnosis.is_ready
    assert diagnosis.server == "Datastore, project moorline"
    assert "expiry" in diagnosis.indexes


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        pytest.param("127.0.0.1:1", "Unreachable", id="nobody listens"),
        pytest.param("nobody.invalid:8081", "NameNotResolved", id="no such name"),
    ],
)
async def test_what_is_found_out_by_trying(host: str, reason: str) -> None:
    diagnosis = await check(f"datastore://{host}")

    assert diagnosis.reason == reason, diagnosis.detail


async def test_a_server_that_hangs_up_or_says_nothing_is_out_of_reach() -> None:
    await check_deaf(check, "datastore://127.0.0.1:{}")


CODES: Final = {
    "nobody": (grpc.StatusCode.UNAUTHENTICATED, "AuthenticationFailed"),
    "no rights": (grpc.StatusCode.PERMISSION_DENIED, "AuthenticationFailed"),
    "Firestore's own mode": (grpc.StatusCode.FAILED_PRECONDITION, "UnsupportedVersion"),
    "no database": (grpc.StatusCode.NOT_FOUND, "UnsupportedVersion"),
    "a fault": (grpc.StatusCode.INTERNAL, "Unreachable"),
}


@pytest.mark.parametrize(("code", "reason"), CODES.values(), ids=CODES.keys())
async def test_what_is_refused_says_why(code: grpc.StatusCode, reason: str) -> None:
    async with refusing(code) as uri:
        diagnosis = await check(uri)

    assert diagnosis.reason == reason
    assert "as told" in diagnosis.detail


async def test_a_machine_without_an_identity_is_told() -> None:
    error = StoreUnavailable("no credentials")
    error.__cause__ = DefaultCredentialsError("no credentials")  # type: ignore[no-untyped-call]

    assert diagnose(error).reason == "AuthenticationFailed"


OPEN: Final = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN]
SHUT: Final = [
    *(grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.PERMISSION_DENIED),
    *(grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.INVALID_ARGUMENT),
]


@pytest.mark.parametrize("code", [*OPEN, *SHUT], ids=lambda code: code.name)
async def test_a_write_is_open_unless_it_was_refused(code: grpc.StatusCode) -> None:
    async with refusing(code) as uri:
        store = entity_store(uri)

        with pytest.raises(OutcomeUnknown if code in OPEN else StoreUnavailable):
            await store.insert(a_session())

        await store.close()


async def test_what_others_were_in_the_way_of_is_tried_again() -> None:
    async with refusing(*[grpc.StatusCode.ABORTED] * 3) as uri:
        store = entity_store(uri)

        await store.insert(a_session())

        await store.close()


async def test_what_others_are_in_the_way_of_for_long_was_surely_not_applied() -> None:
    async with refusing(*[grpc.StatusCode.ABORTED] * 100) as uri:
        store = entity_store(uri)

        async with asyncio.timeout(10):
            with pytest.raises(StoreUnavailable):
                await store.insert(a_session())

        await store.close()


async def test_a_service_account_that_google_does_not_answer_is_told_without_its_key() -> None:
    text = key_file()

    diagnosis = await check(text)

    assert parse_uri(text).project == "shop-project"
    assert not diagnosis.is_ready
    assert json.loads(text)["private_key"] not in diagnosis.detail


async def test_credentials_that_change_are_read_again(
    datastore: DatastoreServer, tmp_path: Path, mongo_collection: str
) -> None:
    secret = tmp_path / "uri"
    secret.write_text("datastore://127.0.0.1:1")
    seconds = 0.0
    source = UriSource(SecretFile(str(secret), ()), lambda: seconds)
    store = datastore_store(source, "", mongo_collection)
    with pytest.raises(StoreUnavailable):
        await store.now()

    secret.write_text(datastore.uri)
    seconds += 1

    session = await inserted(store)
    assert await stored(store) == session
    await store.close()


async def test_credentials_that_are_not_there_are_named() -> None:
    source = UriSource(SecretFile("/nowhere/uri", (), "shop-datastore"), member="datastore")
    store = datastore_store(source, "", "sessions")

    diagnosis = await store.check()

    assert diagnosis.reason == "SecretNotFound"
    assert "spec.backend.datastore.connectionSecretRef" in diagnosis.detail
    await store.close()


def test_without_an_emulator_or_a_key_it_is_the_identity_of_the_workload() -> None:
    assert parse_uri(WORKLOAD_URI) == Address()
    assert parse_uri("datastore://localhost:8081").emulator == "localhost:8081"


WRONG: Final = {
    "another kind": f"redis://ada:{SECRET}@a:5701",
    "no port": f"datastore://{SECRET}",
    "a user": f"datastore://ada:{SECRET}@a:8081",
    "a path": f"datastore://a:8081/{SECRET}",
    "a port that is none": f"datastore://a:{SECRET}",
    "other JSON": json.dumps({"type": "service_account", "private_key": SECRET}),
    "JSON of something else": json.dumps({"secret": [SECRET]}),
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
def test_credentials_that_are_of_no_use_are_refused_without_their_content(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        entity_store(text)

    assert SECRET not in str(raised.value)
