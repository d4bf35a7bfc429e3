from collections.abc import AsyncIterator

import pytest
from moorline_sidecar.stores.base import SessionStore
from moorline_sidecar.stores.mongodb import MongoStore

from tests.contract.backends import mongo_store
from tests.lossy_link import LossyLink, lossy_link
from tests.sidecar.stores.fail_points import FailPoints, fail_points
from tests.sidecar.stores.failing import Lose


@pytest.fixture
async def store(mongo_uri: str, mongo_collection: str) -> AsyncIterator[MongoStore]:
    """An empty store with a plain connection."""
    store = mongo_store(mongo_uri, mongo_collection)
    yield store
    await store.close()


@pytest.fixture
async def link(mongo_uri: str) -> AsyncIterator[LossyLink]:
    async with lossy_link(mongo_uri) as link:
        yield link


@pytest.fixture
async def linked(link: LossyLink, mongo_collection: str) -> AsyncIterator[MongoStore]:
    """The same data as `store`, over the link."""
    store = mongo_store(link.uri, mongo_collection)
    yield store
    await store.close()


@pytest.fixture
def unlucky(linked: SessionStore) -> SessionStore:
    """The same data as `store`, over what can `lose` answers."""
    return linked


@pytest.fixture
def lose(link: LossyLink) -> Lose:
    return link.lose_answer_after


@pytest.fixture
async def fail(mongo_uri: str) -> AsyncIterator[FailPoints]:
    async with fail_points(mongo_uri) as fail:
        yield fail
