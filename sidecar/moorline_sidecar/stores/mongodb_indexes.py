"""The indexes of a collection of sessions, and making them where they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.mongodb_errors import UNAUTHORIZED, readable

CONFLICTS: Final = frozenset({85, 86})
"""IndexOptionsConflict and IndexKeySpecsConflict."""


def _index(name: str, *fields: str, only: dict[str, Any] | None = None) -> IndexModel:
    keys = [(field, ASCENDING) for field in fields]
    if only is None:
        return IndexModel(keys, name=name)
    return IndexModel(keys, name=name, partialFilterExpression=only)


# No TTL index: the purge decides what is deleted, and when.
INDEXES: Final = (
    _index("moorline_expiry", "expiry", only={"valid": True}),
    _index("moorline_accessed", "valid", "accessed"),
    _index("moorline_invalidated", "invalidated", only={"valid": False}),
    _index("moorline_principal", "principal", only={"valid": True, "principal": {"$exists": True}}),
    _index("moorline_renewOf", "renewOf", only={"renewOf": {"$exists": True}}),
    _index("moorline_graceUntil", "graceUntil", only={"graceUntil": {"$exists": True}}),
)
NAMES: Final = tuple(sorted(index.document["name"] for index in INDEXES))


async def make_indexes(collection: AsyncCollection[dict[str, Any]]) -> list[str]:
    """The names of the indexes, which all exist now.

    Raises:
        ConfigurationError: another index is in the way, or the user may not make them.
        PyMongoError: the server is out of reach.
    """
    try:
        await collection.create_indexes(list(INDEXES))
    except OperationFailure as error:
        if error.code == UNAUTHORIZED:
            missing = await _missing(collection)
            if missing:
                raise ConfigurationError([_forbidden(collection.full_name, missing)]) from error
        elif error.code in CONFLICTS:
            raise ConfigurationError([_conflict(collection.full_name, error)]) from error
        else:
            raise
    return list(NAMES)


async def _missing(collection: AsyncCollection[dict[str, Any]]) -> list[str]:
    there = await collection.index_information()
    return [name for name in NAMES if name not in there]


def _conflict(namespace: str, error: OperationFailure) -> str:
    return (
        f"an index of {namespace} is in the way of one that Moorline needs; drop it, and it is "
        f"made anew as it must be ({readable(error)})"
    )


def _forbidden(namespace: str, missing: Sequence[str]) -> str:
    return (
        f"the user may not make indexes on {namespace}, and these are missing: "
        f"{', '.join(missing)}; grant the role readWrite, or run `check` as a user who has it"
    )
