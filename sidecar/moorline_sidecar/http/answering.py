"""Requests in, answers out, in the same order, whether they have to be awaited or not."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from moorline_sidecar.http.framing import CLOSE, CONTINUE, STAY, internal_error
from moorline_sidecar.http.heads import Refused
from moorline_sidecar.http.limits import Traffic
from moorline_sidecar.http.messages import Application, Request, Response
from moorline_sidecar.http.roster import Roster
from moorline_sidecar.http.sending import Outbox

log = structlog.get_logger()


class Answerer:
    """The `Sink` of a reader. It is held up while an answer is awaited, or the client reads none.

    What comes meanwhile waits in a queue, whose length is for the reading side to bound.
    `on_free` is called when an awaited answer has been given.
    """

    def __init__(
        self,
        application: Application,
        outbox: Outbox,
        traffic: Traffic,
        roster: Roster,
        on_free: Callable[[], None],
    ) -> None:
        self._screen = application.screen
        self._handle = application.handle
        self._outbox = outbox
        self._traffic = traffic
        self._roster = roster
        self._on_free = on_free
        # Requests with their `Connection` field, and answers that are ready.
        self._queue: deque[tuple[Request | Response, bytes]] = deque()
        self._is_choked = False
        self._is_lost = False
        self.is_working = False
        self.is_held = False
        self.is_ending = False
        """Whether the last request has been accepted: what comes after it is not looked at."""

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._queue)

    @property
    def is_busy(self) -> bool:
        return self.is_held or bool(self._queue)

    # What the reader calls.

    def screen(self, head: Request, *, expects_continue: bool) -> None:
        if self.is_ending:
            return
        refusal = self._screen(head)
        if refusal is not None:
            raise Refused(refusal)
        if expects_continue:
            self._in_turn(CONTINUE)

    def accept(self, request: Request, connection: bytes) -> None:
        if self.is_ending:
            return
        if connection is CLOSE:
            self.is_ending = True
        if self.is_held:
            self._queue.append((request, connection))
        else:
            self._serve(request, connection)

    # What the connection calls.

    def end_with(self, answer: Response) -> None:
        """Answer so in its turn, and nothing that comes after."""
        self.is_ending = True
        self._in_turn(answer)

    def end_after(self, error: Exception) -> None:
        """End with the answer to whom a mistake of ours has hit."""
        self.end_with(self._failure(error))

    def choke(self, *, is_choked: bool) -> None:
        """Whether the client leaves too much unread."""
        self._is_choked = is_choked
        self.is_held = self.is_working or is_choked

    def next_turn(self) -> bool:
        """Answer the first that waits; False if none does, or it has to go on waiting."""
        if self.is_held or not self._queue:
            return False
        item, connection = self._queue.popleft()
        if isinstance(item, Request):
            self._serve(item, connection)
        else:
            self._give(item, b"", connection)
        return True

    def lose(self) -> None:
        """The client has gone: what is at work ends by itself, what waits is not begun."""
        self.is_ending = self._is_lost = True
        self._queue.clear()
        del self._on_free  # it knows the connection, which knows this

    # One step after the other.

    def _in_turn(self, answer: Response) -> None:
        if self.is_held or self._queue:
            self._queue.append((answer, STAY))
        else:
            self._give(answer, b"", STAY)

    def _serve(self, request: Request, connection: bytes) -> None:
        try:
            answer = self._handle(request)
        except Exception as error:  # noqa: BLE001 - the outermost layer
            answer = self._failure(error)
        if isinstance(answer, Response):
            if self.is_ending and not self._queue:
                connection = CLOSE
            self._outbox.answer(answer, request.method, connection)
        else:
            self.is_working = self.is_held = True
            self._roster.employ(self._work(request.method, answer, connection))

    async def _work(self, method: bytes, pending: Awaitable[Response], connection: bytes) -> None:
        try:
            answer = await pending
        except asyncio.CancelledError:
            self._outbox.transport.abort()
            raise
        except Exception as error:  # noqa: BLE001 - the outermost layer
            answer = self._failure(error)
        self.is_working = False
        self.is_held = self._is_choked
        if not self._is_lost:
            self._give(answer, method, connection)
            self._on_free()

    def _give(self, answer: Response, method: bytes, connection: bytes) -> None:
        if self.is_ending and not self._queue:
            connection = CLOSE
        self._outbox.answer(answer, method, connection)

    def _failure(self, error: Exception) -> Response:
        """The answer to whom a mistake of ours has hit; what waits behind it is not begun."""
        self._traffic.failures += 1
        self.is_ending = True
        self._queue.clear()
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        log.error("a handler raised", error=type(error).__name__, where=where)
        return internal_error()
