"""Two workers on one store, as real processes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.sidecar.running import Client, Sidecar, running_sidecar


@pytest.fixture
def workers(
    tmp_path: Path, mongo_uri: str, mongo_collection: str
) -> Iterator[tuple[Sidecar, Sidecar]]:
    """Two fresh processes that share a collection."""
    with (
        running_sidecar(tmp_path, "node1", mongo_uri, collection=mongo_collection) as one,
        running_sidecar(tmp_path, "node2", mongo_uri, collection=mongo_collection) as two,
    ):
        yield one, two


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as it:
        yield it


@pytest.fixture
def client(http: aiohttp.ClientSession) -> Client:
    return Client(http)
