"""What the L2 may answer: what the store would have, and nothing else."""

from collections.abc import Mapping, Sequence

import pytest
from moorline_sidecar.domain.session import Mark, Reason, Record, Session, Tombstone
from moorline_sidecar.stores.base import Purge, PurgeKind, SessionStore
from moorline_sidecar.stores.l2 import Cache, Item, L2Store
from moorline_sidecar.stores.memory import MemoryStore
from msgspec.structs import replace

from tests.contract.sessions import (
    T0,
    a_session,
    a_touch,
    an_end,
    inserted,
    stored,
    stored_session,
    with_attributes,
    written,
)


class Kept(Cache):
    """A dictionary."""

    def __init__(self) -> None:
        self.items: dict[bytes, bytes] = {}
        self.is_reachable = True

    @property
    def errors(self) -> int:
        return 0

    @property
    def is_usable(self) -> bool:
        return self.is_reachable

    def reaches(self, name: bytes) -> bool:
        del name
        return self.is_reachable

    async def get(self, names: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return {name: self.items[name] for name in names if name in self.items}

    def put(self, items: Mapping[bytes, Item]) -> None:
        self.items.update({name: item.value for name, item in items.items()})

    async def prepare(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        self.items.clear()


class Counting(MemoryStore):
    """Counts what it is asked for."""

    def __init__(self) -> None:
        super().__init__(lambda: T0)
        self.asked: list[str] = []
        self.loaded: list[str] = []

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        self.loaded += keys
        return await super().load(keys)

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        self.asked += keys
        return await super().confirm(keys)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def below() -> Counting:
    return Counting()


@pytest.fixture
def store(below: Counting, kept: Kept) -> L2Store:
    """One sidecar's view; `other` is another one's."""
    return L2Store(below, kept, "shop")


@pytest.fixture
def other(below: Counting, kept: Kept) -> L2Store:
    return L2Store(below, kept, "shop")


async def test_content_that_one_sidecar_loaded_is_not_loaded_by_another(
    store: L2Store, other: L2Store, below: Counting
) -> None:
    session = await inserted(store)

    assert await stored(store) == session
    assert await stored(other) == session

    assert below.loaded == [session.key]
    assert below.asked == [session.key] * 2
    assert (store.counts.misses, other.counts.hits) == (1, 1)


async def test_times_come_from_the_store(store: L2Store) -> None:
    session = await stored_session_of(store)
    await store.touch([a_touch(session, T0 + 1_000)])

    found = await stored_session(store)

    assert (found.accessed, found.last_node) == (T0 + 1_000, "node7")
    assert store.counts.hits == 1


async def stored_session_of(store: SessionStore) -> Session:
    """A new session that the L2 holds."""
    await inserted(store)
    return await stored_session(store)


async def test_an_older_version_is_never_served(store: L2Store, other: L2Store) -> None:
    session = await stored_session_of(store)
    change = with_attributes(session, {"user": "grace"})
    await written(other, change)

    assert await stored(store) == change.after
    assert store.counts.hits == 0


async def test_what_has_ended_is_never_served(
    store: L2Store, other: L2Store, below: Counting, kept: Kept
) -> None:
    await stored_session_of(store)
    held = dict(kept.items)
    await written(other, an_end(reason=Reason.LOGOUT))

    assert isinstance(await stored(store), Tombstone)

    assert kept.items == held, "a tombstone is not kept"
    assert below.loaded == ["session-1"] * 2


async def test_a_key_that_was_purged_and_created_again_has_its_new_content(
    store: L2Store,
) -> None:
    first = await stored_session_of(store)
    await written(store, an_end())
    await store.purge(Purge(kind=PurgeKind.INVALID, before=T0 + 10**9, now=T0 + 10**9), 0)
    assert await stored(store) is None

    second = a_session(contexts={"/": {"user": "grace"}})
    await store.insert(second)

    assert (second.key, second.version) == (first.key, first.version)
    assert await stored(store) == second
    assert await stored(store) == second, "the new one is kept in place of the old one"
    assert (store.counts.misses, store.counts.hits) == (2, 1)


async def test_a_backup_that_was_put_back_is_believed(store: L2Store, below: Counting) -> None:
    """The same version was another content in the time that is undone."""
    session = await stored_session_of(store)
    undone = with_attributes(session, {"user": "undone"})
    await written(store, undone)
    await stored_session(store)
    await below.close()
    await below.insert(session)

    again = with_attributes(session, {"user": "again"})
    await written(store, again)

    assert await stored(store) == again.after


async def test_hits_and_misses_of_one_load_come_together(store: L2Store, below: Counting) -> None:
    sessions = {key: await inserted(store, key) for key in ("a", "b", "c")}
    await store.load(["a"])
    below.loaded.clear()

    assert await store.load(["a", "b", "c", "nowhere"]) == sessions

    assert below.loaded == ["b", "c"]


async def test_a_copy_that_is_not_settled_comes_from_the_store(
    store: L2Store, below: Counting, kept: Kept
) -> None:
    copy = await inserted(store, renew_of="origin")

    assert await stored(store) == copy
    await store.settle(copy.key, "origin")

    assert await stored(store) == replace(copy, renew_of=None)
    assert len(below.loaded) == 2
    assert len(kept.items) == 1


async def test_without_a_server_the_store_is_asked_once(
    store: L2Store, below: Counting, kept: Kept
) -> None:
    session = await stored_session_of(store)
    below.asked.clear()
    kept.is_reachable = False

    assert await stored(store) == session

    assert below.asked == []
    assert store.counts.unasked == 1


async def test_garbage_under_our_names_is_a_miss(store: L2Store, kept: Kept) -> None:
    session = await stored_session_of(store)
    for name in kept.items:
        kept.items[name] = b"garbage"

    assert await stored(store) == session
    assert store.counts.misses == 2


async def test_values_of_others_under_our_names_are_a_miss(store: L2Store, kept: Kept) -> None:
    sessions = {key: await inserted(store, key, contexts={"/": {"of": key}}) for key in "ab"}
    await store.load(["a", "b"])
    first, second = kept.items
    kept.items = {first: kept.items[second], second: kept.items[first]}

    assert await store.load(["a", "b"]) == sessions
