"""Whoever serves from a store is on its list of processes."""

from collections.abc import AsyncIterator

import pytest
from moorline_sidecar.stores.base import SessionStore
from moorline_sidecar.stores.registry import Member, Registry
from msgspec.structs import replace

from tests.contract.backends import BACKENDS, UNREGISTERED, Connect
from tests.contract.sessions import T0, a_member

ONE = a_member("1f")
TWO = a_member("../2f", worker="node2", beat=ONE.beat + 10)


@pytest.fixture(params=sorted(BACKENDS.keys() - UNREGISTERED))
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    async with BACKENDS[request.param](request) as connect:
        yield connect


@pytest.fixture
def registry(store: SessionStore) -> Registry:
    registry = store.registry()
    assert registry is not None
    return registry


async def found(registry: Registry, since: int = 0) -> list[Member]:
    return sorted(await registry.members(since), key=lambda member: member.worker)


async def test_what_a_process_told_last_is_kept_until_it_leaves(registry: Registry) -> None:
    later = replace(ONE, beat=T0 + 30, sessions=7)
    for member in (ONE, TWO, later):
        await registry.beat(member)

    assert await found(registry) == [later, TWO]

    await registry.remove(ONE.process)
    await registry.remove("nobody")

    assert await found(registry) == [TWO]


async def test_those_are_listed_that_told_something_since(registry: Registry) -> None:
    await registry.beat(ONE)
    await registry.beat(TWO)

    assert await found(registry, TWO.beat) == [TWO]
    assert await found(registry, TWO.beat + 1) == []


async def test_those_are_removed_that_told_nothing_since(registry: Registry) -> None:
    await registry.beat(ONE)
    await registry.beat(TWO)

    await registry.remove_stale(TWO.beat)

    assert await found(registry) == [TWO]


async def test_the_list_is_no_session(store: SessionStore, registry: Registry) -> None:
    await registry.beat(ONE)

    assert await store.count() == 0
    assert await store.expired(T0 * 2, 10) == []
    assert await store.load([ONE.process]) == {}
