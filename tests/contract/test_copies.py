"""Renewing: a copy is inserted, marked; the origin ends; the mark is removed."""

import asyncio

from moorline_sidecar.stores.base import Copy, SessionStore
from msgspec.structs import replace

from tests.contract.sessions import T0, an_end, inserted, stored, stored_tombstone, written


async def test_a_copy_shows_its_origin_until_it_is_settled(
    store: SessionStore, other: SessionStore
) -> None:
    copy = await inserted(store, "copy", renew_of="origin", version=7)
    assert await stored(other, "copy") == copy

    assert await store.settle("copy", "origin")

    assert await stored(other, "copy") == replace(copy, renew_of=None)
    assert not await store.settle("copy", "origin")


async def test_only_the_copy_of_that_origin_is_settled(store: SessionStore) -> None:
    copy = await inserted(store, "copy", renew_of="origin")
    plain = await inserted(store, "plain")

    assert not await store.settle("copy", "another origin")
    assert not await store.settle("plain", "origin")
    assert not await store.settle("absent", "origin")

    assert await store.load(["copy", "plain", "absent"]) == {"copy": copy, "plain": plain}


async def test_a_copy_is_discarded_until_it_is_settled(store: SessionStore) -> None:
    await inserted(store, "lost", renew_of="origin", version=3)
    await inserted(store, "won", renew_of="origin", version=3)
    await store.settle("won", "origin")

    assert not await store.discard("lost", "another origin", 3)
    assert not await store.discard("lost", "origin", 2)
    assert await store.discard("lost", "origin", 3)
    assert not await store.discard("lost", "origin", 3)
    assert not await store.discard("won", "origin", 3)

    assert (await store.load(["lost", "won"])).keys() == {"won"}


async def test_a_copy_is_either_settled_or_discarded(
    store: SessionStore, other: SessionStore
) -> None:
    for n in range(10):
        key = f"copy-{n}"
        await inserted(store, key, renew_of="origin")

        settled, discarded = await asyncio.gather(
            store.settle(key, "origin"), other.discard(key, "origin", 1)
        )

        assert settled != discarded
        assert (await stored(store, key) is not None) == settled


async def test_an_ended_copy_is_neither_settled_nor_discarded(store: SessionStore) -> None:
    await inserted(store, "copy", renew_of="origin")
    await written(store, an_end("copy"))

    assert not await store.settle("copy", "origin")
    assert not await store.discard("copy", "origin", 1)
    await stored_tombstone(store, "copy")


async def test_copies_that_were_left_behind_are_found(store: SessionStore) -> None:
    await inserted(store, "old", renew_of="origin-1", last_saved=T0)
    await inserted(store, "young", renew_of="origin-2", last_saved=T0 + 1)
    await inserted(store, "plain", last_saved=T0)
    await inserted(store, "settled", renew_of="origin-3", last_saved=T0)
    await store.settle("settled", "origin-3")
    await inserted(store, "ended", renew_of="origin-4", last_saved=T0)
    await written(store, an_end("ended"))

    assert await store.copies(T0, 10) == []
    assert await store.copies(T0 + 1, 10) == [Copy(key="old", origin="origin-1", version=1)]
    found = await store.copies(T0 + 2, 10)
    assert sorted(copy.key for copy in found) == ["old", "young"]
    assert len(await store.copies(T0 + 2, 1)) == 1
