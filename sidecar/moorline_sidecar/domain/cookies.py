"""The session cookie and the hint cookie beside it: what a browser presents, what it is given.

Written as RFC 6265bis 4.1 asks of servers. Read leniently and without a special meaning of quotes
inside the header, so that no cookie can swallow its neighbours.
"""

from __future__ import annotations

import re
from typing import Final

from moorline_api import HintPlacement, SameSite
from msgspec import Struct

from moorline_sidecar.domain.ids import Hint, is_id, is_worker, parse_hint, split_worker

HINT_SUFFIX: Final = "_at"
"""Appended to the session cookie's name, so that prefixes like `__Host-` hold for both."""

_SECOND_MS: Final = 1000


class CookiePolicy(Struct, frozen=True, kw_only=True):
    """What a SessionCluster says about its cookies; `max_age_s` 0 ends them with the browser."""

    name: str = "SESSION"
    path: str = "/"
    domain: str = ""
    secure: bool = True
    http_only: bool = True
    same_site: SameSite = SameSite.LAX
    partitioned: bool = False
    max_age_s: int = 0
    refresh_age_ms: int = 0
    hint: HintPlacement = HintPlacement.SEPARATE


class Presented(Struct, frozen=True):
    """What a request says about its session.

    `ids` are the different well-formed ones, in order. `hint` is what decides; `kept` is what the
    browser's cookies say, whatever the header does: another one than that has to be written.
    """

    ids: tuple[str, ...]
    hint: Hint | None
    kept: Hint | None


class Cookies:
    """Reads and writes the cookies of one policy; values of `Set-Cookie`, without its name."""

    def __init__(self, policy: CookiePolicy) -> None:
        self.policy = policy
        self._find = re.compile(
            rb"(?:^|;)[ \t]*%b(%b)?[ \t]*=([^;]*)"
            % (re.escape(policy.name.encode()), re.escape(HINT_SUFFIX.encode()))
        ).findall
        attributes = _attributes(policy)
        lifetime = f"; Max-Age={policy.max_age_s}" if policy.max_age_s else ""
        self._tail = f"{attributes[0]}{lifetime}{attributes[1]}"
        expired = f"{attributes[0]}; Max-Age=0{attributes[1]}"
        self._expired: tuple[bytes, ...] = (f"{policy.name}={expired}".encode(),)
        if policy.hint is HintPlacement.SEPARATE:
            self._expired += (f"{policy.name}{HINT_SUFFIX}={expired}".encode(),)

    def presented(self, header_hint: bytes | None, cookie: bytes | None) -> Presented:
        """What `Moorline-Hint` and `Cookie` say together; malformed parts are passed over."""
        ids, kept = self._read(cookie) if cookie else ((), None)
        told = parse_hint(header_hint.decode("latin-1")) if header_hint else None
        return Presented(ids, told or kept, kept)

    def session_cookie(self, session_id: str, worker: str) -> bytes:
        """The session cookie; with `hint: Suffix` it names the worker."""
        suffix = f".{worker}" if self.policy.hint is HintPlacement.SUFFIX else ""
        return f"{self.policy.name}={session_id}{suffix}{self._tail}".encode()

    def hint_cookie(self, hint: Hint) -> bytes:
        """The hint cookie, for `hint: Separate`."""
        return f"{self.policy.name}{HINT_SUFFIX}={hint}{self._tail}".encode()

    def expired_cookies(self) -> tuple[bytes, ...]:
        """Takes back each cookie that this policy gives."""
        return self._expired

    def is_refresh_due(self, cookie_set: int, now: int) -> bool:
        """Whether a living session's cookie, written at `cookie_set`, is to be written again.

        A cookie that ends with the browser needs none (Jetty `AbstractSessionManager.access`).
        """
        policy = self.policy
        return 0 < policy.refresh_age_ms <= now - cookie_set and policy.max_age_s > 0

    def _read(self, cookie: bytes) -> tuple[tuple[str, ...], Hint | None]:
        ids: dict[str, None] = {}
        hint: Hint | None = None
        workers: set[str] = set()
        for is_hint, raw in self._find(cookie):
            value = _value(raw)
            if is_hint:
                found = parse_hint(value)
                if found and (hint is None or found.version > hint.version):
                    hint = found
                continue
            session_id, worker = split_worker(value)
            if not is_id(session_id):
                continue
            ids[session_id] = None
            if worker is not None and is_worker(worker):
                workers.add(worker)
        return tuple(ids), self._kept(hint, workers)

    def _kept(self, hint: Hint | None, workers: set[str]) -> Hint | None:
        """A cookie left over from another `hint` mode is not kept up to date: it counts as none."""
        match self.policy.hint:
            case HintPlacement.OFF:
                return None
            case HintPlacement.SEPARATE if hint is not None:
                return hint
            case _:
                # Of two workers nobody knows which one answered last.
                return Hint(0, workers.pop()) if len(workers) == 1 else None


def _value(raw: bytes) -> str:
    value = raw.strip(b" \t")
    if len(value) > 1 and value[:1] == value[-1:] == b'"':
        value = value[1:-1]
    return value.decode("latin-1")


def _attributes(policy: CookiePolicy) -> tuple[str, str]:
    """The attributes around `Max-Age`."""
    before = f"; Path={policy.path}"
    if policy.domain:
        before += f"; Domain={policy.domain}"
    after = "; Secure" if policy.secure else ""
    if policy.http_only:
        after += "; HttpOnly"
    after += f"; SameSite={policy.same_site.value}"
    if policy.partitioned:
        after += "; Partitioned"
    return before, after
