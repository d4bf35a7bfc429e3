"""Who may talk to a listener at all: no browsers, and only those who know the token.

A page in a browser can reach loopback (DNS rebinding, `fetch` with `no-cors`), and reads or writes
sessions if nothing stops it. Browsers cannot help sending `Origin`, `Sec-Fetch-Site` or the `Host`
that they were tricked with.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from moorline_sidecar.http.messages import Response
from moorline_sidecar.http.problems import problem

_HOST: Final = re.compile(rb"(\[[0-9a-f:.]+\]|[^\[\]:/?#@, ]+)(?::[0-9]{0,5})?\Z")
_LOOPBACK: Final = re.compile(
    rb"(localhost|\[::1\]|127(\.(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])){3})\Z"
)
_REMEMBERED_HOSTS: Final = 64
"""Different spellings of accepted hosts; an application uses one or two."""

_BEARER: Final = b"bearer "


class Gate:
    """Decides about requests by their headers alone.

    `hosts` are those of `--listen` and the like, beside loopback. `token` gives the current token,
    None where none is required, and empty bytes where one is but cannot be read: then nobody is
    let in.
    """

    def __init__(
        self, hosts: Iterable[str] = (), token: Callable[[], bytes | None] | None = None
    ) -> None:
        self._hosts = frozenset(_bracketed(host).lower().encode() for host in hosts if host)
        self._token = token or _no_token
        self.is_guarded = token is not None
        """Whether a token may be required."""
        self._accepted: set[bytes] = set()

    @property
    def remembered_hosts(self) -> int:
        """How many spellings of accepted hosts are kept, so that they are parsed only once."""
        return len(self._accepted)

    def wants_token(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request that passed once is now refused for its token."""
        token = self._token()
        return token is not None and not _bears(headers.get(b"authorization", b""), token)

    def refusal(self, headers: Mapping[bytes, bytes]) -> Response | None:
        """The 403 or 401 for a request with these headers (names in lower case); None to go on."""
        if b"origin" in headers or b"sec-fetch-site" in headers:
            return problem(
                "not-for-browsers",
                "Requests with Origin or Sec-Fetch-Site come from a browser; "
                "call the sidecar from the application's server side.",
            )
        host = headers.get(b"host")
        if host is not None and host not in self._accepted and not self._accepts(host):
            return problem(
                "not-for-browsers",
                "The Host header must be localhost, a loopback address or the host of --listen.",
            )
        return _token_required() if self.wants_token(headers) else None

    def _accepts(self, host: bytes) -> bool:
        match = _HOST.match(host.lower())
        if match is None:
            return False
        name = match[1]
        if _LOOPBACK.match(name) is None and name not in self._hosts:
            return False
        if len(self._accepted) < _REMEMBERED_HOSTS:
            self._accepted.add(host)
        return True


def _no_token() -> bytes | None:
    return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _bears(authorization: bytes, token: bytes) -> bool:
    """RFC 6750 2.1; compared in constant time."""
    scheme, given = authorization[: len(_BEARER)], authorization[len(_BEARER) :]
    return scheme.lower() == _BEARER and bool(token) and hmac.compare_digest(given.strip(), token)


def _token_required() -> Response:
    return problem(
        "token-required",
        "Send the token of sidecar.tokenSecretRef as `Authorization: Bearer <token>`.",
        fields=b'WWW-Authenticate: Bearer realm="moorline"\r\n',
    )
