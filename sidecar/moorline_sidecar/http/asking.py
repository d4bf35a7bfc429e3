"""What a request asks beside its path: context, hint, conditions, keys."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from moorline_sidecar.domain.attributes import check_context
from moorline_sidecar.domain.changes import Patch
from moorline_sidecar.domain.ids import Hint, parse_hint
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.errors import InvalidRequest
from moorline_sidecar.http.messages import Request
from moorline_sidecar.http.tags import tagged_versions
from moorline_sidecar.http.targets import NamedSession

_KEY: Final = re.compile(rb"[\x21-\x7e]{1,64}\Z")
_JSON_TYPE: Final = re.compile(
    rb'application/json\s*(;\s*charset\s*=\s*"?utf-?8"?\s*)?\Z', re.IGNORECASE
)


class Asking(Struct, frozen=True, gc=False):
    """The parts of a request that every route understands."""

    request: Request
    query: Mapping[str, str]
    context: str

    def hint(self, named: NamedSession) -> Hint | None:
        """The hint of the header, else that of the suffix."""
        field = self.request.headers.get(b"moorline-hint")
        told = parse_hint(field.decode("latin-1")) if field else None
        if told is None and named.worker is not None:
            return Hint(0, named.worker)
        return told

    def asked(self, patch: Patch, session_id: str) -> Asked:
        """The patch with `If-Match` and `Idempotency-Key`."""
        field = self.request.headers.get(b"if-match")
        versions = None if field is None else tagged_versions(field, session_id, weakly=False)
        return Asked(patch=patch, if_versions=versions, idempotency_key=self.idempotency_key)

    @property
    def idempotency_key(self) -> str | None:
        field = self.request.headers.get(b"idempotency-key")
        if field is None:
            return None
        if _KEY.match(field) is None:
            raise InvalidRequest(
                "malformed-request", "An Idempotency-Key is 1 to 64 visible ASCII characters."
            )
        return field.decode()

    @property
    def is_access(self) -> bool:
        """Whether a read counts; `?touch=false` peeks."""
        match self.query.get("touch", "true"):
            case "true":
                return True
            case "false":
                return False
            case _:
                raise InvalidRequest("malformed-request", "`touch` is true or false.")

    @property
    def wants_representation(self) -> bool:
        field = self.request.headers.get(b"prefer", b"").lower()
        return b"return=representation" in field.replace(b" ", b"").replace(b'"', b"")

    def is_known(self, session_id: str, version: int) -> bool:
        """Whether `If-None-Match` says that the client has this version."""
        field = self.request.headers.get(b"if-none-match")
        if field is None:
            return False
        versions = tagged_versions(field, session_id, weakly=True)
        return versions is None or version in versions


def is_json(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body is JSON as far as its type says; it may be left out."""
    field = headers.get(b"content-type")
    return field is None or _JSON_TYPE.match(field.strip()) is not None


def context_of(request: Request, query: Mapping[str, str], default: str) -> str:
    """The context that a request names.

    Raises:
        InvalidRequest: it cannot be one.
    """
    field = request.headers.get(b"moorline-context")
    if field is not None:
        return _checked_context(field)
    named = query.get("context")
    return default if named is None else _checked_context(named.encode())


@functools.lru_cache(maxsize=256)
def _checked_context(raw: bytes) -> str:
    try:
        context = raw.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("invalid-context", "A context is UTF-8.") from None
    check_context(context)
    return context
