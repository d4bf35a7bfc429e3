"""A user name and a password that change while sessions are served."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from moorline_sidecar.config.secrets import SecretFile
from moorline_sidecar.errors import StoreUnavailable
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.mongodb_client import Connection
from moorline_sidecar.stores.uri_source import UriSource
from pymongo import MongoClient

from tests.contract.sessions import inserted, stored
from tests.stores_fixtures import running_server

Result = TypeVar("Result")

PATIENCE_SECONDS: Final = 60.0


def make_user(uri: str, name: str, password: str) -> None:
    with MongoClient[dict[str, Any]](uri) as client:
        client.admin.command(
            "createUser", name, pwd=password, roles=[{"role": "root", "db": "admin"}]
        )


def with_user(uri: str, name: str, password: str) -> str:
    return uri.replace("mongodb://", f"mongodb://{name}:{password}@") + "?authSource=admin"


async def once_in_reach(ask: Callable[[], Awaitable[Result]]) -> Result:
    """The answer: on a busy machine a first connection, with its proofs, may take too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return await ask()
        except StoreUnavailable:
            if time.monotonic() > deadline:
                raise


async def reason_of(store: MongoStore) -> str:
    diagnosis = await store.check()
    if diagnosis.reason == "Unreachable":
        raise StoreUnavailable(diagnosis.detail)
    return diagnosis.reason


async def test_a_password_that_changes_is_read_again(tmp_path: Path) -> None:
    secret = tmp_path / "uri"
    seconds = 0.0
    with running_server(tmp_path / "data") as server:
        make_user(server.uri, "ada", "lovelace")
        make_user(server.uri, "grace", "hopper")
    with running_server(tmp_path / "data", "--auth") as server:
        secret.write_text(with_user(server.uri, "ada", "wrong"))
        source = UriSource(SecretFile(str(secret), ()), lambda: seconds)
        store = MongoStore(Connection(source), "sessions", "shop")

        with pytest.raises(StoreUnavailable) as raised:
            await store.now()
        assert "wrong" not in str(raised.value)
        assert await once_in_reach(lambda: reason_of(store)) == "AuthenticationFailed"

        secret.write_text(with_user(server.uri, "ada", "lovelace"))
        seconds += 1
        session = await once_in_reach(lambda: inserted(store))

        secret.write_text(with_user(server.uri, "grace", "hopper"))
        seconds += 1
        assert await once_in_reach(lambda: stored(store)) == session
        await store.close()
