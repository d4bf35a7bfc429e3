"""The commands of most requests, sent as they are.

The driver's cursors and results are made for more, and cost more than a small command does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import AutoReconnect, WriteConcernError, WriteError

Collection: TypeAlias = AsyncCollection[dict[str, Any]]

Update: TypeAlias = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Which document is meant, and what it is to become."""


async def find_by_keys(
    collection: Collection, keys: Sequence[str], fields: Sequence[str] | None
) -> list[dict[str, Any]]:
    """The documents that exist among `keys`; `fields` beside the key, None for all.

    Raises:
        PyMongoError: there was no answer, also not when asked again.
    """
    try:
        reply = await collection.database.command(
            find_command(collection, keys, fields), codec_options=collection.codec_options
        )
    except AutoReconnect:
        # The driver knows how long a question may be repeated.
        pass
    else:
        documents = found_by(reply)
        if documents is not None:
            return documents
    most = len(keys)
    found = collection.find(_among(keys), fields, limit=most, batch_size=most)
    return await found.to_list()


def found_by(reply: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """All documents that a reply holds; None: they do not fit into one."""
    cursor = reply["cursor"]
    documents: list[dict[str, Any]] = cursor["firstBatch"]
    return None if cursor["id"] else documents


async def update_one(
    collection: Collection, found: Mapping[str, Any], update: Mapping[str, Any]
) -> bool:
    """Update the one document that is meant; whether it matched.

    Raises:
        WriteError: the server refused it.
        PyMongoError: it may have been applied.
    """
    command = update_command(collection, [(found, update)])
    return matched_by(await collection.database.command(command))


async def update_many(collection: Collection, updates: Sequence[Update]) -> None:
    """Update the one document that each filter means, in one message; left out is what is refused.

    Raises:
        PyMongoError: some may have been applied.
    """
    check_concern(await collection.database.command(update_command(collection, updates)))


def matched_by(reply: Mapping[str, Any]) -> bool:
    """Whether an update of one document matched it.

    Raises:
        WriteError, WriteConcernError: as `update_one`.
    """
    for error in reply.get("writeErrors", ()):
        raise WriteError(str(error.get("errmsg")), error.get("code"), error)
    check_concern(reply)
    return bool(reply["n"])


def check_concern(reply: Mapping[str, Any]) -> None:
    """Raise WriteConcernError if what was written may be lost."""
    error = reply.get("writeConcernError")
    if error is not None:
        raise WriteConcernError(str(error.get("errmsg")), error.get("code"), error)


def find_command(
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


def update_command(collection: Collection, updates: Sequence[Update]) -> dict[str, Any]:
    return {
        "update": collection.name,
        "updates": [{"q": found, "u": update} for found, update in updates],
        "ordered": False,
        "writeConcern": collection.write_concern.document,
    }


def bulk_command(collection: Collection, operations: Iterable[Update]) -> dict[str, Any]:
    """For the database `admin`: each of the updates on its own, all told of."""
    return {
        "bulkWrite": 1,
        "ops": [
            {"update": 0, "filter": found, "updateMods": update, "multi": False}
            for found, update in operations
        ],
        "nsInfo": [{"ns": collection.full_name}],
        "ordered": False,
        "errorsOnly": False,
        "writeConcern": collection.write_concern.document,
    }


def _among(keys: Sequence[str]) -> dict[str, Any]:
    return {"_id": keys[0] if len(keys) == 1 else {"$in": list(keys)}}
