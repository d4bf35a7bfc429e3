from moorline_sidecar.stores.mongodb import MongoStore

from tests.contract.sessions import a_member
from tests.sidecar.stores.raw import raw_collection


async def test_entries_lie_beside_the_sessions(
    store: MongoStore, mongo_uri: str, mongo_collection: str
) -> None:
    await store.registry().beat(a_member(pod="shop-1"))
    async with raw_collection(mongo_uri, f"{mongo_collection}.workers") as raw:
        document = await raw.find_one()
        assert document is not None
        assert document["pod"] == "shop-1"
