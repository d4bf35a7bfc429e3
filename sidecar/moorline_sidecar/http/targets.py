"""What a request line names: a route, its ids and names, and the query."""

from __future__ import annotations

import functools
import urllib.parse
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from moorline_sidecar.domain.ids import is_id, is_worker, split_worker
from moorline_sidecar.errors import InvalidRequest

ROUTES: Final[Mapping[tuple[str, ...], frozenset[bytes]]] = {
    ("sessions",): frozenset({b"POST"}),
    ("sessions", "{id}"): frozenset({b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE"}),
    ("sessions", "{id}", "attributes"): frozenset({b"PUT"}),
    ("sessions", "{id}", "attributes", "{name}"): frozenset({b"GET", b"HEAD", b"PUT", b"DELETE"}),
    ("sessions", "{id}", "touch"): frozenset({b"POST"}),
    ("sessions", "{id}", "complete"): frozenset({b"POST"}),
    ("sessions", "{id}", "renew"): frozenset({b"POST"}),
    ("session",): frozenset({b"GET", b"HEAD", b"POST", b"PATCH", b"DELETE"}),
    ("session", "touch"): frozenset({b"POST"}),
    ("session", "complete"): frozenset({b"POST"}),
    ("session", "renew"): frozenset({b"POST"}),
    ("principals", "{principal}", "sessions"): frozenset({b"GET", b"HEAD", b"DELETE"}),
    ("principals", "{principal}", "sessions", "{handle}"): frozenset({b"DELETE"}),
}
"""Every route below `/v1`, and the methods that it takes."""

REMEMBERED: Final = 1_024
"""Paths and ids that are taken apart once, of sessions in use just now: half a megabyte."""

REMEMBERED_BYTES: Final = 256
"""Longer ones are not kept: they are no ids of ours."""

_PREFIX: Final = b"/v1/"


class Target(Struct, frozen=True):
    """A known route, and the decoded segments in the places of its parameters."""

    route: tuple[str, ...]
    parameters: tuple[str, ...]


def target_of(path: bytes) -> Target | None:
    """The route that a raw path names; None for none.

    Split before it is decoded, so that an encoded slash stays part of a name.

    Raises:
        InvalidRequest: a segment is not UTF-8; `invalid-id` where it stands for an id.
    """
    return _remembered_target(path) if len(path) <= REMEMBERED_BYTES else _target_of(path)


def _target_of(path: bytes) -> Target | None:
    if not path.startswith(_PREFIX):
        return None
    segments = path[len(_PREFIX) :].split(b"/")
    for route in ROUTES:
        if len(route) == len(segments) and all(
            part.startswith("{") or part.encode() == segment
            for part, segment in zip(route, segments, strict=True)
        ):
            parameters = tuple(
                _decoded_id(segment) if part == "{id}" else decoded(segment)
                for part, segment in zip(route, segments, strict=True)
                if part.startswith("{")
            )
            return Target(route, parameters)
    return None


_remembered_target = functools.lru_cache(maxsize=REMEMBERED)(_target_of)


def decoded(segment: bytes) -> str:
    """A percent-encoded segment as text.

    Raises:
        InvalidRequest: it is not UTF-8.
    """
    try:
        return urllib.parse.unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise InvalidRequest("malformed-request", "The path is not UTF-8.") from None


def _decoded_id(segment: bytes) -> str:
    try:
        return decoded(segment)
    except InvalidRequest:
        raise _invalid_id() from None


def query_of(raw: bytes) -> Mapping[str, str]:
    """The parameters of a query, the last one of a name.

    Raises:
        InvalidRequest: it is not UTF-8.
    """
    if not raw:
        return {}
    try:
        pairs = urllib.parse.parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise _no_query(raw) from None
    return dict(pairs)


def _no_query(raw: bytes) -> InvalidRequest:
    """Why a query that is not UTF-8 is refused: by its context, if that is not either."""
    escaped = "surrogateescape"
    text = raw.decode("ascii", escaped)
    for name, value in urllib.parse.parse_qsl(text, errors=escaped):
        if name == "context" and any("\ud800" <= letter <= "\udfff" for letter in value):
            return InvalidRequest("invalid-context", "A context is UTF-8.")
    return InvalidRequest("malformed-request", "The query is not UTF-8.")


class NamedSession(Struct, frozen=True):
    """An id, and the worker that its suffix names."""

    session_id: str
    worker: str | None


def named_session(text: str) -> NamedSession:
    """The session that a path or a header names.

    Raises:
        InvalidRequest: it is no id.
    """
    return _remembered_session(text) if len(text) <= REMEMBERED_BYTES else _named_session(text)


def _named_session(text: str) -> NamedSession:
    session_id, worker = split_worker(text)
    if not is_id(session_id):
        raise _invalid_id()
    return NamedSession(session_id, worker if worker is not None and is_worker(worker) else None)


def _invalid_id() -> InvalidRequest:
    detail = "A session id is 20 to 128 characters of A-Z, a-z, 0-9, _ and -."
    return InvalidRequest("invalid-id", detail)


_remembered_session = functools.lru_cache(maxsize=REMEMBERED)(_named_session)
