"""The fixtures of the contract suite: every test that takes `store` runs over every backend."""

from collections.abc import AsyncIterator

import pytest
from moorline_sidecar.stores.base import SessionStore

from tests.contract.backends import BACKENDS, Connect


@pytest.fixture(params=BACKENDS)
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    async with BACKENDS[request.param](request) as connect:
        yield connect


@pytest.fixture
async def store(connect: Connect) -> SessionStore:
    """An empty store."""
    return await connect()


@pytest.fixture
async def other(connect: Connect, store: SessionStore) -> SessionStore:
    """What another process has open of `store`."""
    del store
    return await connect()
