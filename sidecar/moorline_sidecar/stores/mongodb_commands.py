"""The commands of most requests, sent as they are.

The driver's cursors and results are made for more, and cost more than a small command does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, WriteConcernError, WriteError

Collection: TypeAlias = AsyncCollection[dict[str, Any]]


async def find_by_keys(
    collection: Collection, keys: Sequence[str], fields: Sequence[str] | None
) -> list[dict[str, Any]]:
    """The documents that exist among `keys`; `fields` beside the key, None for all.

    Raises:
        PyMongoError: there was no answer, also not when asked again.
    """
    try:
        cursor = (
            await collection.database.command(
                _find(collection, keys, fields), codec_options=collection.codec_options
            )
        )["cursor"]
    except AutoReconnect:
        # The driver knows how long a question may be repeated.
        cursor = None
    if cursor is None or cursor["id"]:
        # Or they do not fit into one reply.
        most = len(keys)
        found = collection.find(_among(keys), fields, limit=most, batch_size=most)
        return await found.to_list()
    documents: list[dict[str, Any]] = cursor["firstBatch"]
    return documents


async def update_one(
    collection: Collection, found: Mapping[str, Any], update: Mapping[str, Any]
) -> bool:
    """Update the one document that is meant; whether it matched.

    Raises:
        WriteError: the server refused it.
        PyMongoError: it may have been applied.
    """
    reply = await _update(collection, [(found, update)])
    for error in reply.get("writeErrors", ()):
        raise WriteError(str(error.get("errmsg")), error.get("code"), error)
    _check_concern(reply)
    return bool(reply["n"])


async def update_many(
    collection: Collection, updates: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> None:
    """Update the one document that each filter means, in one message; left out is what is refused.

    Raises:
        PyMongoError: some may have been applied.
    """
    _check_concern(await _update(collection, updates))


async def _update(
    collection: Collection, updates: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> Mapping[str, Any]:
    return await collection.database.command(
        {
            "update": collection.name,
            "updates": [{"q": found, "u": update} for found, update in updates],
            "ordered": False,
            "writeConcern": collection.write_concern.document,
        }
    )


def _check_concern(reply: Mapping[str, Any]) -> None:
    error = reply.get("writeConcernError")
    if error is not None:
        raise WriteConcernError(str(error.get("errmsg")), error.get("code"), error)


def _find(
    collection: Collection, keys: Sequence[str], fields: Sequence[str] | None
) -> dict[str, Any]:
    command: dict[str, Any] = {
        "find": collection.name,
        "filter": _among(keys),
        "limit": len(keys),
        "batchSize": len(keys),
        "readConcern": collection.read_concern.document,
    }
    if fields is not None:
        command["projection"] = dict.fromkeys(fields, 1)
    return command


def _among(keys: Sequence[str]) -> dict[str, Any]:
    return {"_id": keys[0] if len(keys) == 1 else {"$in": list(keys)}}
