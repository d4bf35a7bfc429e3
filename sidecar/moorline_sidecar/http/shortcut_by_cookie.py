"""Hits by cookie, answered without parsing the request around the cookies.

Cookies are taken out of the piece: what is left is a rest that comes again, and is looked up. What
the cookies say is read and answered as `by_cookie` does it for every request.
"""

from __future__ import annotations

from typing import Final

from moorline_sidecar.domain.ids import parse_hint
from moorline_sidecar.hot import hit
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.http.held import Held
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.reading import slice_bytes
from moorline_sidecar.http.rests import PlainReader, Rest, Rests

COOKIE_LINE: Final = b"GET /v1/session HTTP/1.1\r\n"

PIECE_BYTES_MAX: Final = 8 * 1024
"""With the cookies: a browser keeps more of them for one site only on purpose."""

_PATH: Final = b"/v1/session"
_FIELD: Final = b"\r\nCookie: "
_FIELD_BEGIN_BYTES: Final = len(_FIELD)
_FIELD_IN_LOWER_CASE: Final = _FIELD.lower()
_LINE_END: Final = b"\r\n"
_ANY: Final = b"a=b"


class ShortcutByCookie:
    """Knows rests by their bytes; the place of the cookies in them is their first one."""

    def __init__(
        self, by_cookie: ByCookie, held: Held, reader: PlainReader, limits: Limits
    ) -> None:
        self._by_cookie = by_cookie
        self._find = held.find
        self._hit = held.hit
        self._reader = reader
        self._piece_bytes_max = min(PIECE_BYTES_MAX, slice_bytes(limits))
        self._rests = Rests(self._read)

    def follow(self, by_cookie: ByCookie) -> None:
        """Read and write cookies by these; the reader may give another context."""
        self._by_cookie = by_cookie
        self._rests.clear()

    def answer(self, data: bytes) -> bytes | None:
        """The framed answer to a piece that begins with `COOKIE_LINE`; None: the reader is to see.

        A cookie that is written goes between the fields, as the renderer puts it.
        """
        begin = _place(data)
        end = data.find(_LINE_END, begin)
        if begin < 0 or end < 0 or len(data) > self._piece_bytes_max:
            return None
        around = data[:begin] + data[end:]
        rest = self._rests.get(around)
        if rest is None:
            self._rests.consider(around)
            return None
        cookie = data[begin:end]
        if not _is_plain(cookie):
            return None
        presented = self._by_cookie.presented(cookie)
        if len(presented.ids) != 1:
            return None
        session_id = presented.ids[0]
        found = self._find(session_id, rest, rest.hint or presented.kept)
        if found is None or not self._hit(found[0]):
            return None
        entry, answer = found
        written = self._by_cookie.kept_cookies(session_id, entry, presented.kept)
        return hit(answer, entry.times, written)

    def _read(self, around: bytes) -> Rest | None:
        """What is around the cookies of exactly one plain request; None for all else."""
        begin = _place(around)
        read = self._reader.read(around[:begin] + _ANY + around[begin:])
        if read is None:
            return None
        request, context = read
        if request.path != _PATH or request.headers.get(b"cookie") != _ANY:
            return None
        hint = request.headers.get(b"moorline-hint")
        told = parse_hint(hint.decode("latin-1")) if hint else None
        return Rest(request, context, told, around)


def _place(data: bytes) -> int:
    """Where the cookies begin; -1 without any.

    There is no such line behind the fields: a request with a body is not plain.
    """
    field = data.find(_FIELD)
    if field < 0:
        field = data.find(_FIELD_IN_LOWER_CASE)
    return field + _FIELD_BEGIN_BYTES if field >= 0 else -1


def _is_plain(cookie: bytes) -> bool:
    """Whether all of it is visible ASCII and spaces, none of which ends a field or is refused."""
    return cookie.isascii() and cookie.decode("ascii").isprintable()
