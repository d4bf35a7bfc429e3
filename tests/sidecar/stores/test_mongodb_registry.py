from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.registry import Member
from msgspec import structs

from tests.contract.sessions import T0
from tests.sidecar.stores.raw import raw_collection

ONE = Member(
    process="1f",
    worker="node1",
    pod="shop-1",
    version="1.0.0",
    since=T0,
    beat=T0 + 10,
    sessions=3,
    unsaved=1,
)
TWO = structs.replace(ONE, process="2f", worker="node2", beat=T0 + 20)


async def test_what_a_process_tells_is_kept_until_it_leaves(store: MongoStore) -> None:
    registry = store.registry()
    for member in (ONE, TWO, structs.replace(ONE, beat=T0 + 30)):
        await registry.beat(member)
    found = await registry.members(T0 + 20)
    assert sorted(found, key=lambda member: member.process) == [
        structs.replace(ONE, beat=T0 + 30),
        TWO,
    ]
    assert [member.process for member in await registry.members(T0 + 21)] == ["1f"]
    await registry.remove("1f")
    assert await registry.members(0) == [TWO]


async def test_stale_entries_are_removed(store: MongoStore) -> None:
    registry = store.registry()
    await registry.beat(ONE)
    await registry.beat(TWO)
    await registry.remove_stale(T0 + 20)
    assert await registry.members(0) == [TWO]


async def test_entries_lie_beside_the_sessions(
    store: MongoStore, mongo_uri: str, mongo_collection: str
) -> None:
    await store.registry().beat(ONE)
    assert await store.count() == 0
    async with raw_collection(mongo_uri, f"{mongo_collection}.workers") as raw:
        document = await raw.find_one()
        assert document is not None
        assert document["pod"] == "shop-1"
