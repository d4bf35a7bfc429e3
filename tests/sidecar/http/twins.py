"""Two sidecars that differ in nothing but the shortcut, on one clock, without sockets."""

from __future__ import annotations

import asyncio
from typing import Final

from moorline_sidecar.cache.entry import Entry
from moorline_sidecar.domain.cookies import CookiePolicy, Cookies
from moorline_sidecar.domain.ids import hashed_key
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.http.api import Api
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.http.connections import Connection
from moorline_sidecar.http.gate import Gate
from moorline_sidecar.http.limits import Limits, Traffic
from moorline_sidecar.http.messages import Quick, never
from moorline_sidecar.http.roster import Roster
from moorline_sidecar.sessions.clock import ManualClock
from moorline_sidecar.sessions.service import Sessions
from moorline_sidecar.stores.memory import MemoryStore

from tests.sidecar.domain.facts import fields_of
from tests.sidecar.http.raw_client import DEADLINE_S

NAMES: Final = ("ada" + "A" * 29, "bob" + "B" * 29, "eve" + "E" * 29)
"""Ids of the sessions that there are, of 32 characters."""

SHORT: Final = "C" * 20
"""The id of another one, which the shortcut does not know how to find."""


COOKIES: Final = CookiePolicy()


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.written += b"<end>"

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


class Twin:
    """A sidecar whose change stream is live when it is told so; a guarded one may want a token."""

    def __init__(
        self,
        clock: ManualClock,
        policy: Policy,
        *,
        is_quick: bool,
        is_guarded: bool = False,
        cookies: CookiePolicy = COOKIES,
    ) -> None:
        self.clock = clock
        self.sessions = Sessions(MemoryStore(clock.now), policy, clock)
        self.token: bytes | None = None
        self.limits = Limits()
        self.by_cookie = ByCookie(self.sessions, Cookies(cookies))
        gate = Gate(token=lambda: self.token) if is_guarded else Gate()
        self.api = Api(self.sessions, self.by_cookie, gate)
        self.traffic = Traffic()
        self._roster = Roster()
        self._quick: Quick = self.api.shortcut.answer if is_quick else never
        self._hits_before = 0
        self._open()

    async def say(self, *pieces: bytes) -> bytes:
        """What is answered to these pieces; to what comes on a closed connection nothing."""
        begin = len(self._wire.written)
        for piece in pieces:
            if not self._wire.is_closed:
                self._connection.data_received(piece)
        async with asyncio.timeout(DEADLINE_S):
            while others := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(others)
        return bytes(self._wire.written[begin:])

    @property
    def quick_answers(self) -> int:
        """Hits that nobody parsed, since they were last counted anew."""
        return self.traffic.flow.hits - self._hits_before

    def count_anew(self) -> None:
        self._hits_before = self.traffic.flow.hits

    @property
    def is_closed(self) -> bool:
        return self._wire.is_closed

    def look(self, now_s: float) -> None:
        """End the connection if it has taken too long."""
        self._connection.look(now_s)

    def reconnect(self, quick: Quick | None = None) -> None:
        """Go on with a new connection, from now on with that `quick` if there is one."""
        self._connection.connection_lost(None)
        self._quick = quick or self._quick
        self._open()

    async def begin(self) -> None:
        """Create the sessions, and let the stream be live."""
        self.sessions.core.coverage.begin(self.clock.monotonic() - 1)
        for name in (*NAMES, SHORT):
            body = b'{"attributes":{"user":"%b","n":[1,2,3]}}' % name.encode()
            line = b"PUT /v1/sessions/%b HTTP/1.1\r\nHost: localhost\r\n" % name.encode()
            fields = b"If-None-Match: *\r\nContent-Length: %d\r\n\r\n" % len(body)
            assert b" 201 " in await self.say(line + fields + body)
        self.vouch()

    def vouch(self) -> None:
        """Let the stream have told everything up to now."""
        self.sessions.core.coverage.extend(self.clock.monotonic())

    def entry(self, name: str) -> Entry | None:
        return self.sessions.core.l1.peek(hashed_key(name))

    def state(self) -> object:
        """All that a request may have moved, apart from the answers."""
        l1 = self.sessions.core.l1
        entries = {
            entry.key: ({**fields_of(entry.times), "calm_until": None}, entry.cookie_set)
            for entry in l1
        }
        return (
            entries,
            self.sessions.core.counted(),
            self._passed(),
            set(self.sessions.core.unwritten),
        )

    def _passed(self) -> object:
        traffic = self.traffic
        ended = traffic.refused, traffic.timeouts, traffic.failures
        return traffic.answers, traffic.flow.received, traffic.flow.sent, traffic.accepted, ended

    def _open(self) -> None:
        self._wire = Wire()
        self._connection = Connection(
            self.api, self._quick, self.limits, self.traffic, self._roster
        )
        self._connection.connection_made(self._wire)
