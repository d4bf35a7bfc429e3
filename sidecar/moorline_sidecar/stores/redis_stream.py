"""The stream `<prefix>changes`, to which the scripts add in the step that changes a session.

Its events are numbered without gaps, so that whoever follows sees by the numbers what was trimmed,
or that the stream is another one. Every reply is proven by a script that only a primary runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from msgspec import Struct
from redis.asyncio.connection import Connection
from redis.exceptions import NoScriptError, ResponseError

from moorline_sidecar.domain.session import Reason
from moorline_sidecar.errors import HistoryLost
from moorline_sidecar.stores.base import Heard, Seen, Stream
from moorline_sidecar.stores.redis_client import Client, RedisConnection, drop
from moorline_sidecar.stores.redis_diagnosis import info_of
from moorline_sidecar.stores.redis_errors import CALL_ERRORS, failure, refusal
from moorline_sidecar.stores.redis_running import Call, exchange
from moorline_sidecar.stores.redis_scripts import Script

AWAIT_MS: Final = 500
"""For an event to come: two replies within what one lost reply may take of a stream's life."""

ANSWER_SECONDS: Final = 2.5
"""For a reply, that wait included; a link that is half open does not say so."""

BATCH: Final = 200
"""Events in one reply: what is done with them takes a few milliseconds."""


class _Token(Struct, frozen=True):
    """Where a stream was; another process may have lost, and numbered anew, what came last."""

    client: Client
    process: str
    number: int


@asynccontextmanager
async def change_stream(
    connection: RedisConnection, key: str, place: Script, after: object
) -> AsyncIterator[Stream]:
    """As `SessionStore.watch`."""
    async with connection.use() as client:
        with _translated():
            async with asyncio.timeout(ANSWER_SECONDS):
                link = await client.connect()
        try:
            with _translated():
                async with asyncio.timeout(ANSWER_SECONDS):
                    first, last, process = await _opened(link, place)
            number = last
            if isinstance(after, _Token):
                number = _resumed(after, client, process, first, last)
            token = _Token(client, process, number)
            yield _RedisStream(connection, link, key, place, token)
        finally:
            await drop(link)


class _RedisStream(Stream):
    def __init__(
        self,
        connection: RedisConnection,
        link: Connection,
        key: str,
        place: Script,
        token: _Token,
    ) -> None:
        self._connection = connection
        self._link = link
        self._key = key
        self._place = Call(place, (), ("0",)).command
        self._token = token

    async def receive(self, asked_at: int) -> Heard:
        token = self._token
        if self._connection.client is not token.client:
            raise HistoryLost("the connection URI has changed")
        with _translated():
            async with asyncio.timeout(ANSWER_SECONDS):
                events, last = await self._read(token.number)
        numbers = [_number(event[0]) for event in events]
        if numbers != list(range(token.number + 1, token.number + 1 + len(numbers))):
            raise HistoryLost("the stream was trimmed beyond where this one was")
        number = token.number + len(numbers)
        if last < number:
            raise HistoryLost("the stream was deleted")
        self._token = _Token(token.client, token.process, number)
        return Heard(
            seen=[_seen(event[1]) for event in events],
            token=self._token,
            # The server had no more than it sent.
            complete_until=asked_at if len(events) < BATCH else None,
        )

    async def _read(self, number: int) -> tuple[Sequence[Any], int]:
        """The events after that number, and the number of the last one that there is."""
        read = (
            *("XREAD", "COUNT", BATCH, "BLOCK", AWAIT_MS),
            *("STREAMS", self._key, f"0-{number}"),
        )
        found, place = await exchange(self._link, [read, self._place])
        for reply in (found, place):
            if isinstance(reply, ResponseError):
                raise refusal(reply) from reply
        return (found[0][1] if found else ()), _number(place[1])


async def _opened(link: Connection, script: Script) -> tuple[int, int, str]:
    """The first and the last number, and the process."""
    call = Call(script, (), ("1",))
    (reply,) = await exchange(link, [call.command])
    if isinstance(reply, NoScriptError):
        (reply,) = await exchange(link, [("EVAL", script.text, 0, *call.arguments)])
    if isinstance(reply, ResponseError):
        raise refusal(reply) from reply
    first, last, information = reply
    return _number(first), _number(last), info_of(information).get("run_id", "")


def _resumed(token: _Token, client: Client, process: str, first: int, last: int) -> int:
    if token.client is not client:
        raise HistoryLost("the connection URI has changed")
    if token.process != process:
        raise HistoryLost("the server was started again, or is another one")
    if not first - 1 <= token.number <= last:
        raise HistoryLost("the stream does not go back so far")
    return token.number


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except CALL_ERRORS as error:
        raise failure(error, was_sent=False, replies=0) from error


def _number(event: bytes) -> int:
    return int(event.partition(b"-")[2])


def _seen(row: Sequence[bytes]) -> Seen:
    fields = dict(zip(row[::2], row[1::2], strict=True))
    version, reason = fields.get(b"v"), fields.get(b"r")
    return Seen(
        key=fields[b"k"].decode(),
        version=None if version is None else int(version),
        is_valid=reason is None,
        reason=None if reason is None else Reason(reason.decode()),
        at=int(fields[b"t"]),
    )
