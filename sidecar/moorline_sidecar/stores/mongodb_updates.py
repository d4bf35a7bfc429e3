"""What the port's writes are in MongoDB: a filter that holds the guards, and an update."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from bson.int64 import Int64

from moorline_sidecar.domain.differences import added_contexts, changed_attributes
from moorline_sidecar.stores.base import Change, End, Purge, PurgeKind, Touch, Write
from moorline_sidecar.stores.bson_codec import encode, encode_key, encode_object
from moorline_sidecar.stores.mongodb_documents import date

Operation: TypeAlias = tuple[dict[str, Any], dict[str, Any]]
"""A filter, and the update of the one document that matches it."""

CONTENT_FIELDS: Final = (
    "lastAccessed",
    "expiry",
    "deadline",
    "maxIdle",
    "lastNode",
    "lastSaved",
    "cookieSet",
    "principal",
    "recent",
    "context",
)
"""What a session has and a tombstone does not, unless it is in its grace."""

IS_TRUE: Final = {"$all": [True]}
"""Equal to it, as all of one value is. A server that plans by comparing conditions with its
indexes, one after the other, has nothing to compare here: the key decides, and this comes after."""

END_OF_GRACE: Final = {"$unset": dict.fromkeys((*CONTENT_FIELDS, "graceUntil"), "")}


def operation_of(write: Write) -> Operation:
    return _change(write) if isinstance(write, Change) else _end(write)


def _change(change: Change) -> Operation:
    before, after = change.before, change.after
    sets: dict[str, Any] = {
        "version": Int64(after.version),
        "writeId": after.write_id,
        "lastAccessed": date(after.last_accessed),
        "lastNode": after.last_node,
        "lastSaved": date(after.last_saved),
    }
    # Whoever changes a copy serves it: its renew has happened.
    unsets: dict[str, Any] = {"renewOf": ""}
    # A touch may have written later times since `before` was read: it leaves the version as it is.
    highest: dict[str, Any] = {"accessed": date(after.accessed)}
    if after.max_idle_ms != before.max_idle_ms:
        sets["maxIdle"] = Int64(after.max_idle_ms)
        sets["expiry"] = date(after.expiry)
    elif after.expiry is not None:
        highest["expiry"] = date(after.expiry)
    if after.cookie_set != before.cookie_set:
        sets["cookieSet"] = date(after.cookie_set)
    if after.principal != before.principal:
        _set_or_unset(sets, unsets, "principal", after.principal)
    if after.recent != before.recent:
        _set_or_unset(sets, unsets, "recent", list(after.recent) or None)
    for context, attributes in added_contexts(before, after).items():
        sets[f"context.{encode_key(context)}"] = encode_object(attributes)
    for changed in changed_attributes(before, after):
        path = f"context.{encode_key(changed.context)}.{encode_key(changed.name)}"
        if changed.is_set:
            sets[path] = encode(changed.value)
        else:
            unsets[path] = ""
    update = {"$set": sets, "$max": highest, "$unset": unsets}
    guards = {"_id": change.key, "valid": IS_TRUE, **_equal("version", Int64(before.version))}
    if before.write_id:
        guards |= _equal("writeId", before.write_id)
    return guards, update


def _end(end: End) -> Operation:
    guards: dict[str, Any] = {"_id": end.key, "valid": IS_TRUE}
    if end.version is not None:
        guards |= _equal("version", Int64(end.version))
    if end.content_id:
        guards |= _equal("writeId", end.content_id)
    if end.access is not None:
        guards |= _equal("accessed", date(end.access.accessed))
        guards |= {"expiry": date(end.access.expiry)}
        guards |= _equal("lastNode", end.access.last_node)
    sets: dict[str, Any] = {
        "valid": False,
        "writeId": end.write_id,
        "invalidated": date(end.now),
        "reason": end.reason.value,
    }
    if end.renewed_to is not None:
        sets["renewedTo"] = end.renewed_to
    dropped = ["renewOf"]
    if end.grace_until is not None:
        sets["graceUntil"] = date(end.grace_until)
    else:
        dropped += CONTENT_FIELDS
    update = {"$set": sets, "$inc": {"version": Int64(1)}, "$unset": dict.fromkeys(dropped, "")}
    return guards, update


def touch_operation(touch: Touch) -> Operation:
    guards = {"_id": touch.key, "valid": IS_TRUE, "accessed": {"$lte": date(touch.accessed)}}
    sets = {
        "accessed": date(touch.accessed),
        "lastAccessed": date(touch.last_accessed),
        "expiry": date(touch.expiry),
        "lastNode": touch.last_node,
        "lastSaved": date(touch.now),
    }
    return guards | _equal("maxIdle", Int64(touch.max_idle_ms)), {
        "$set": sets,
        "$unset": {"renewOf": ""},
    }


def purge_filter(purge: Purge) -> dict[str, Any]:
    if purge.kind is PurgeKind.INVALID:
        return {"valid": False, "invalidated": {"$lt": date(purge.before)}}
    # Null, missing or passed; an `$or` would say the same and keep some servers from the index.
    is_over = {"$not": {"$gt": date(purge.now)}}
    return {"valid": True, "accessed": {"$lt": date(purge.before)}, "expiry": is_over}


def _set_or_unset(
    sets: dict[str, Any], unsets: dict[str, Any], field: str, value: str | list[str] | None
) -> None:
    if value is None:
        unsets[field] = ""
    else:
        sets[field] = value


def _equal(field: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 whatever BSON holds
    """Equality, as `IS_TRUE` has it; without the field a document has what it then reads as."""
    is_default = value == "" or (isinstance(value, int) and value == 0)
    return {field: {"$in": [value, None]} if is_default else {"$all": [value]}}
