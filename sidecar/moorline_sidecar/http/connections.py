"""One connection of the data plane: when to read, when to write, when to close.

What is answered at once costs no task, no timer and, for all that came in one piece, one write.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from moorline_sidecar.hot import Receiver
from moorline_sidecar.http.answering import Answerer
from moorline_sidecar.http.deadlines import Deadline, Waiting
from moorline_sidecar.http.heads import Refused
from moorline_sidecar.http.limits import Limits, Traffic
from moorline_sidecar.http.messages import Application, Quick, never
from moorline_sidecar.http.problems import problem
from moorline_sidecar.http.reading import IDLE, Phase, RequestReader, slice_bytes
from moorline_sidecar.http.roster import Roster
from moorline_sidecar.http.sending import Outbox

OVERLOADED: Final = problem("overloaded", "Too many connections are open: share them.")
TIMED_OUT: Final = problem("request-timeout", "Send the rest of a request sooner after its start.")

NOTHING: Final = memoryview(b"")

WAITING_FOR: Final = {
    Phase.IDLE: Waiting.REQUEST,
    Phase.HEAD: Waiting.HEAD,
    Phase.BODY: Waiting.BODY,
}


class Connection(asyncio.Protocol):
    """The protocol of one transport, and a `Guest` of the roster."""

    _transport: asyncio.Transport

    def __init__(
        self,
        application: Application,
        quick: Quick,
        limits: Limits,
        traffic: Traffic,
        roster: Roster,
    ) -> None:
        self._quick = quick
        self._flow = traffic.flow
        self._receiver = Receiver(quick, traffic.flow, self._receive)
        # One call less for each hit, where that is compiled.
        self.data_received = self._receiver.receive  # type: ignore[assignment,method-assign]
        self._limits = limits
        self._traffic = traffic
        self._roster = roster
        self._deadline = Deadline(limits)
        self._outbox = Outbox(traffic)
        self._answerer = Answerer(application, self._outbox, traffic, roster, self._go_on)
        self._reader = RequestReader(limits, self._answerer)
        self._feed = self._reader.feed
        self._slice_bytes = slice_bytes(limits)
        self._unread = NOTHING
        self._discarded_bytes = 0
        self._is_reading = True
        self._is_parting = False
        self._client_is_done = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self._outbox.transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        self._receiver.connect(
            self._transport.write,
            self._transport.get_write_buffer_size,
            -1 if sock is None else sock.fileno(),
        )
        self._traffic.accepted += 1
        self._roster.enter(self)
        if len(self._roster.serving) > self._limits.connections:
            self._traffic.overloaded += 1
            self._answerer.end_with(OVERLOADED)
            self._go_on()

    def eof_received(self) -> bool:
        """Keep the transport open as long as there is something to answer."""
        self._client_is_done = True
        return self._is_busy() and not self._is_parting

    def pause_writing(self) -> None:
        self._receiver.is_waiting = False
        self._answerer.choke(is_choked=True)

    def resume_writing(self) -> None:
        self._answerer.choke(is_choked=False)
        self._go_on()

    def connection_lost(self, _: Exception | None) -> None:
        self._answerer.lose()
        self._reader.close()
        self._receiver.close()
        del self.data_received  # it knows the connection, too
        self._roster.gone(self)

    # What the data plane calls.

    def look(self, now: float) -> None:
        waiting = self._waiting_for()
        serial = self._reader.serial + self._receiver.hits
        if not self._deadline.has_passed(waiting, serial, now):
            return
        if waiting is Waiting.REQUEST:
            self._transport.close()
        elif waiting is Waiting.FAREWELL:
            self._transport.abort()
        elif waiting is Waiting.READER:
            self._traffic.timeouts += 1
            self._transport.abort()
        else:
            self._traffic.timeouts += 1
            self._answerer.end_with(TIMED_OUT)
            self._go_on()

    def allow(self, limits: Limits) -> None:
        """Grant other bounds to the requests that come; times stay as they were."""
        self._limits = limits
        self._reader.limits = limits

    def retire(self) -> None:
        self._receiver.is_waiting = False
        self._quick = never
        self._reader.announce_last()
        if self._is_busy():
            self._answerer.is_ending = True
            self._steer()
        elif self._reader.phase is Phase.IDLE and not self._is_parting:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    # One step after the other.

    def _receive(self, data: bytes) -> None:
        """Take what the receiver leaves: all but hits on a connection that waits for them."""
        answerer, flow = self._answerer, self._flow
        flow.received += len(data)
        if self._reader.phase is not IDLE or answerer.is_held or answerer.is_ending:
            self._read(data)
            return
        try:
            answer = self._quick(data)
        except Exception as error:  # noqa: BLE001 - the outermost layer
            self._stop(error)
            self._go_on()
            return
        if answer is None:
            self._read(data)
            return
        self._receiver.is_waiting = True
        self._receiver.hits += 1
        flow.hits += 1
        flow.sent += len(answer)
        self._transport.write(answer)

    def _read(self, data: bytes) -> None:
        answerer = self._answerer
        if answerer.is_ending:
            self._discard(len(data))
        elif self._unread or len(data) > self._slice_bytes:
            self._unread = memoryview(bytes(self._unread) + data)
            self._go_on()
        else:
            try:
                self._feed(data)
            except Exception as error:  # noqa: BLE001 - the outermost layer
                self._stop(error)
            self._outbox.flush()
            if answerer.is_held or answerer.is_ending:
                self._go_on()

    def _go_on(self) -> None:
        """Answer what waits, read what has come, and part if that was all."""
        while self._answerer.next_turn() or self._parse_unread():
            pass
        self._outbox.flush()
        is_last = self._answerer.is_ending or self._client_is_done
        if is_last and not self._is_busy() and not self._is_parting:
            self._part()
        self._steer()

    def _parse_unread(self) -> bool:
        if not self._has_unread() or self._is_full():
            return False
        piece = self._unread[: self._slice_bytes]
        self._unread = self._unread[self._slice_bytes :]
        try:
            self._feed(piece)
        except Exception as error:  # noqa: BLE001 - the outermost layer
            self._stop(error)
        return True

    def _stop(self, error: Exception) -> None:
        """Read no more requests, and tell why."""
        if not isinstance(error, Refused):
            self._answerer.end_after(error)
        elif not self._answerer.is_ending:  # behind a last request llhttp finds everything wrong
            self._traffic.refused += 1
            self._answerer.end_with(error.answer)

    def _part(self) -> None:
        """Let the client read the last answer: closed over unread bytes, it would be lost."""
        self._is_parting = True
        self._roster.part(self)
        if self._client_is_done or len(self._roster.leaving) > self._limits.connections:
            self._transport.close()
        else:
            self._transport.write_eof()

    def _discard(self, size: int) -> None:
        self._discarded_bytes += size
        if self._is_parting and self._discarded_bytes > self._limits.drain_bytes:
            self._transport.close()

    def _steer(self) -> None:
        """Read as long as what comes has a place to go."""
        wants = self._is_parting or not (
            self._answerer.is_ending or self._unread or self._is_full()
        )
        if wants is self._is_reading or self._client_is_done or self._transport.is_closing():
            return
        self._is_reading = wants
        if wants:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # What is so.

    def _is_full(self) -> bool:
        return self._answerer.waiting >= self._limits.pipelined_requests

    def _has_unread(self) -> bool:
        return bool(self._unread) and not self._answerer.is_ending

    def _is_busy(self) -> bool:
        return self._answerer.is_busy or self._has_unread()

    def _waiting_for(self) -> Waiting:
        if self._answerer.is_working:
            return Waiting.HANDLER
        # Fewer bytes than hold it up may be left unread, too: closed, the transport keeps them.
        asks_nothing = self._is_parting or self._reader.phase is IDLE
        if self._answerer.is_held or (asks_nothing and self._unsent_bytes()):
            return Waiting.READER
        if self._is_parting:
            return Waiting.FAREWELL
        return WAITING_FOR[self._reader.phase]

    def _unsent_bytes(self) -> int:
        return self._transport.get_write_buffer_size()
