import pytest
from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.mongodb import MongoStore
from moorline_sidecar.stores.mongodb_indexes import NAMES

from tests.sidecar.stores.raw import raw_collection

EXPECTED = {
    "moorline_expiry": ([("expiry", 1)], {"valid": True}),
    "moorline_accessed": ([("valid", 1), ("accessed", 1)], None),
    "moorline_invalidated": ([("invalidated", 1)], {"valid": False}),
    "moorline_principal": (
        [("principal", 1)],
        {"valid": True, "principal": {"$exists": True}},
    ),
    "moorline_renewOf": ([("renewOf", 1)], {"renewOf": {"$exists": True}}),
    "moorline_graceUntil": ([("graceUntil", 1)], {"graceUntil": {"$exists": True}}),
}


async def test_the_indexes_are_made(
    store: MongoStore, mongo_uri: str, mongo_collection: str
) -> None:
    assert await store.prepare() == sorted(EXPECTED) == list(NAMES)

    async with raw_collection(mongo_uri, mongo_collection) as collection:
        found = await collection.index_information()
    made = {
        name: (index["key"], index.get("partialFilterExpression"))
        for name, index in found.items()
        if name != "_id_"
    }
    assert made == EXPECTED


@pytest.mark.parametrize(
    ("keys", "name"),
    [(["expiry"], "moorline_accessed"), (["accessed"], "moorline_expiry")],
    ids=["another index of the name", "another index of the name, of one field"],
)
async def test_an_index_in_the_way_is_named(
    store: MongoStore, mongo_uri: str, mongo_collection: str, keys: list[str], name: str
) -> None:
    async with raw_collection(mongo_uri, mongo_collection) as collection:
        await collection.create_index(keys, name=name)

    with pytest.raises(ConfigurationError, match=f"{mongo_collection} is in the way"):
        await store.prepare()
