"""Records as MongoDB documents, both ways; docs/operations.md shows the layout.

Reading is tolerant: a person may have edited any field, or have imported sessions from elsewhere.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeGuard

from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64

from moorline_sidecar.domain.content import Content, content_of, content_of_texts
from moorline_sidecar.domain.session import Json, Mark, Reason, Record, Session, Tombstone
from moorline_sidecar.hot.plain import Row
from moorline_sidecar.stores.base import AccessGuard, Copy, Expired, Seen, Summary
from moorline_sidecar.stores.bson_codec import (
    decode_attributes,
    decode_key,
    encode_key,
    encode_object,
)
from moorline_sidecar.stores.registry import Member

Document: TypeAlias = Mapping[str, Any]

EARLIEST_MS: Final = -62_135_596_800_000
"""The first millisecond of the year 1; what is out of these bounds cannot be shown as a date."""

LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""

INTEGER_BOUND: Final = 1 << 62
"""Far beyond every honest version, and one more still fits into 64 bits."""

MARK_FIELDS: Final = (
    "version",
    "valid",
    "accessed",
    "lastAccessed",
    "expiry",
    "maxIdle",
    "lastNode",
    "lastSaved",
    "writeId",
)
GUARD_FIELDS: Final = ("accessed", "expiry", "lastNode")
COPY_FIELDS: Final = ("renewOf", "version")
SUMMARY_FIELDS: Final = ("created", "accessed", "expiry", "lastNode", "renewOf")


def date(milliseconds: int | None) -> DatetimeMS | None:
    return None if milliseconds is None else DatetimeMS(milliseconds)


def session_document(session: Session) -> dict[str, Any]:
    document = {
        "_id": session.key,
        "valid": True,
        "version": Int64(session.version),
        "created": date(session.created),
        "lastAccessed": date(session.last_accessed),
        "accessed": date(session.accessed),
        "expiry": date(session.expiry),
        "maxIdle": Int64(session.max_idle_ms),
        "lastNode": session.last_node,
        "lastSaved": date(session.last_saved),
        "cookieSet": date(session.cookie_set),
        "writeId": session.write_id,
    }
    if session.deadline is not None:
        document["deadline"] = date(session.deadline)
    if session.principal is not None:
        document["principal"] = session.principal
    if session.recent:
        document["recent"] = list(session.recent)
    if session.renew_of is not None:
        document["renewOf"] = session.renew_of
    document["context"] = {
        encode_key(context): encode_object(attributes)
        for context, attributes in session.contexts.items()
    }
    return document


def record_of(document: Document) -> Record:
    return _session(document) if document.get("valid") is True else _tombstone(document)


def session_of(row: Row) -> Session:
    """A live session that has been read from bytes: nothing in it is out of bounds."""
    (
        key, _, version, created, last_accessed, accessed, expiry, max_idle_ms, last_node,
        last_saved, cookie_set, write_id, deadline, principal, recent, renew_of, contexts,
    ) = row  # fmt: skip
    return Session(
        key=key,
        version=version,
        created=created,
        accessed=accessed,
        last_accessed=last_accessed,
        max_idle_ms=_shared(max_idle_ms),
        expiry=expiry,
        deadline=deadline,
        last_node=sys.intern(last_node),
        last_saved=last_saved,
        cookie_set=cookie_set,
        principal=principal,
        recent=recent or (),
        write_id=write_id,
        renew_of=renew_of,
        contexts=content_of_texts(contexts),
    )


def mark_of(document: Document) -> Mark:
    if document.get("valid") is not True:
        return Mark(version=_integer(document.get("version")), is_valid=False)
    accessed = _moment(document.get("accessed"))
    return Mark(
        version=_integer(document.get("version")),
        is_valid=True,
        accessed=accessed,
        last_accessed=_moment(document.get("lastAccessed"), accessed),
        expiry=_optional_moment(document.get("expiry")),
        max_idle_ms=_integer(document.get("maxIdle")),
        last_node=_text(document.get("lastNode")) or "",
        last_saved=_moment(document.get("lastSaved"), accessed),
        write_id=_text(document.get("writeId")) or "",
    )


def expired_of(document: Document) -> Expired:
    return Expired(
        key=document["_id"],
        access=AccessGuard(
            accessed=_moment(document.get("accessed")),
            expiry=_optional_moment(document.get("expiry")),
            last_node=_text(document.get("lastNode")) or "",
        ),
    )


def summary_of(document: Document) -> Summary:
    return Summary(
        key=document["_id"],
        created=_moment(document.get("created")),
        accessed=_moment(document.get("accessed")),
        expiry=_optional_moment(document.get("expiry")),
        last_node=_text(document.get("lastNode")) or "",
        renew_of=_text(document.get("renewOf")),
    )


def copy_of(document: Document) -> Copy:
    return Copy(
        key=document["_id"],
        origin=_text(document.get("renewOf")) or "",
        version=_integer(document.get("version")),
    )


def seen_of(event: Document) -> Seen | None:
    """What an event of a change stream tells; None if it is about no session."""
    key = event.get("documentKey", {}).get("_id")
    if not isinstance(key, str):
        return None
    if "fullDocument" in event:
        # Somebody has replaced it in the shell.
        fields = event["fullDocument"] or {}
        is_valid = fields.get("valid") is True
    else:
        fields = event.get("updateDescription", {}).get("updatedFields", {})
        is_valid = fields.get("valid", True) is True
    return Seen(
        key=key,
        version=_integer(fields["version"]) if "version" in fields else None,
        is_valid=is_valid,
        reason=None if is_valid or "reason" not in fields else _reason(fields["reason"]),
        at=_optional_moment(event.get("wallTime")),
    )


def member_of(document: Document) -> Member:
    return Member(
        process=str(document["_id"]),
        worker=_text(document.get("worker")) or "",
        pod=_text(document.get("pod")) or "",
        version=_text(document.get("version")) or "",
        since=_moment(document.get("since")),
        beat=_moment(document.get("beat")),
        sessions=_integer(document.get("sessions")),
        unsaved=_integer(document.get("unsaved")),
    )


def _session(document: Document) -> Session:
    # Sessions are kept, and many of their times are the same: each is one object.
    moments: dict[int, int] = {}

    def moment(field: str) -> int | None:
        found = _optional_moment(document.get(field))
        return None if found is None else moments.setdefault(found, found)

    accessed = moment("accessed") or 0
    recent = document.get("recent")
    return Session(
        key=document["_id"],
        version=_integer(document.get("version")),
        created=_either(moment("created"), accessed),
        accessed=accessed,
        last_accessed=_either(moment("lastAccessed"), accessed),
        max_idle_ms=_shared(_integer(document.get("maxIdle"))),
        expiry=moment("expiry"),
        deadline=moment("deadline"),
        last_node=sys.intern(_text(document.get("lastNode")) or ""),
        last_saved=_either(moment("lastSaved"), accessed),
        cookie_set=_either(moment("cookieSet"), accessed),
        principal=_text(document.get("principal")),
        recent=tuple(key for key in recent if isinstance(key, str))
        if isinstance(recent, list)
        else (),
        write_id=_text(document.get("writeId")) or "",
        renew_of=_text(document.get("renewOf")),
        contexts=_contexts(document.get("context")),
    )


def _tombstone(document: Document) -> Tombstone:
    version = _integer(document.get("version"))
    accessed = _moment(document.get("accessed"))
    grace_until = _optional_moment(document.get("graceUntil"))
    return Tombstone(
        key=document["_id"],
        version=version,
        created=_moment(document.get("created"), accessed),
        accessed=accessed,
        invalidated=_moment(document.get("invalidated"), accessed),
        reason=_reason(document.get("reason")),
        write_id=_text(document.get("writeId")) or "",
        renewed_to=_text(document.get("renewedTo")),
        grace_until=grace_until,
        grace=None if grace_until is None else _grace(document, version - 1),
    )


def _grace(document: Document, version: int) -> Session:
    return _session({**document, "version": version, "writeId": "", "renewOf": None})


def _contexts(found: object) -> Content:
    if not isinstance(found, dict):
        return content_of({})
    contexts: dict[str, dict[str, Json]] = {}
    for field, attributes in found.items():
        contexts.setdefault(decode_key(field), {}).update(decode_attributes(attributes))
    return content_of(contexts)


def _either(moment: int | None, default: int) -> int:
    return default if moment is None else moment


@lru_cache(maxsize=256)
def _shared(life: int) -> int:
    """The same number, as one object for all sessions that have it."""
    return life


def _moment(found: object, default: int = 0) -> int:
    moment = _optional_moment(found)
    return default if moment is None else moment


def _optional_moment(found: object) -> int | None:
    if isinstance(found, DatetimeMS):
        return min(max(int(found), EARLIEST_MS), LATEST_MS)
    if _is_number(found):
        return min(max(int(found), EARLIEST_MS), LATEST_MS)
    return None


def _integer(found: object) -> int:
    return min(max(int(found), -INTEGER_BOUND), INTEGER_BOUND) if _is_number(found) else 0


def _is_number(found: object) -> TypeGuard[int | float]:
    return (isinstance(found, int) and not isinstance(found, bool)) or (
        isinstance(found, float) and math.isfinite(found)
    )


def _text(found: object) -> str | None:
    return found if isinstance(found, str) else None


def _reason(found: object) -> Reason:
    try:
        return Reason(found)  # type: ignore[arg-type] # whatever it is, it is one of them or not
    except ValueError:
        # A person set `valid` to false by hand.
        return Reason.ADMIN
