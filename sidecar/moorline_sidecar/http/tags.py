"""Entity tags: strong, opaque, a function of id and version alone (RFC 9110 8.8.3)."""

from __future__ import annotations

import functools
import re
from typing import Final

from moorline_sidecar.domain.ids import hashed_key
from moorline_sidecar.errors import InvalidRequest

_MARK_CHARACTERS: Final = 12
_GAP: Final = re.compile(rb"[ \t,]*")
_TAG: Final = re.compile(rb'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?=,|\Z)')
_OURS: Final = re.compile(rb"([0-9]{1,18})-([A-Za-z0-9_-]{12})\Z")

ANY: Final = "*"


def entity_tag(session_id: str, version: int) -> bytes:
    """The tag with its quotes."""
    return b'"%d-%b"' % (version, _mark(session_id))


def tagged_versions(field: bytes, session_id: str, *, weakly: bool) -> tuple[int, ...] | None:
    """The versions of this session that `If-Match` or `If-None-Match` names; None for `*`.

    Tags of other sessions name none. Weak tags count only where the comparison is weak.

    Raises:
        InvalidRequest: it is no list of entity tags.
    """
    if field.strip() == b"*":
        return None
    versions: list[int] = []
    position = _after_gap(field, 0)
    while position < len(field):
        match = _TAG.match(field, position)
        if match is None:
            raise InvalidRequest(
                "malformed-request", "If-Match and If-None-Match hold ETags in double quotes, or *."
            )
        position = _after_gap(field, match.end())
        ours = _OURS.match(match[2])
        if ours is not None and ours[2] == _mark(session_id) and (weakly or not match[1]):
            versions.append(int(ours[1]))
    return tuple(versions)


def _after_gap(field: bytes, position: int) -> int:
    """Past white space, commas and what is empty between them (RFC 9110 5.6.1.2)."""
    match = _GAP.match(field, position)
    return match.end() if match else position


@functools.lru_cache(maxsize=1024)
def _mark(session_id: str) -> bytes:
    # Not a part of the key: a tag in somebody's log must not help to find the session in the store.
    return hashed_key(f"etag\0{session_id}")[:_MARK_CHARACTERS].encode()
