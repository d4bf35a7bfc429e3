"""MongoDB's change stream of one collection, as the port tells of it.

The server projects each event to key, version, validity and reason, so that no content of a session
travels to workers that may not even hold it. Creations and times of accesses are left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

from msgspec import Struct
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from moorline_sidecar.errors import HistoryLost, StreamUnsupported
from moorline_sidecar.stores.base import Heard, Seen, Stream
from moorline_sidecar.stores.mongodb_client import Client, Connection
from moorline_sidecar.stores.mongodb_commands import Collection
from moorline_sidecar.stores.mongodb_documents import seen_of
from moorline_sidecar.stores.mongodb_errors import (
    AUTHENTICATION_FAILED,
    error_code,
    readable,
    translated,
)
from moorline_sidecar.stores.mongodb_replies import LastReply, Progress, heard_by, position_of

Changes: TypeAlias = AsyncChangeStream[dict[str, Any]]

AWAIT_MS: Final = 500
"""For an event to come: two replies within what one lost reply may take of a stream's life."""

ANSWER_SECONDS: Final = 2.5
"""For a reply, that wait included; a link that is half open does not say so."""

CLOSE_SECONDS: Final = 0.5

BATCH: Final = 200
"""Events in one reply: what is done with them takes a few milliseconds."""

HISTORY_LOST: Final = frozenset({136, 260, 280, 286})
"""CappedPositionLost, InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost."""

_FIELDS: Final = ("version", "valid", "reason")
PIPELINE: Final = (
    {
        "$match": {
            "$or": [
                {"updateDescription.updatedFields.version": {"$exists": True}},
                {"operationType": {"$in": ["replace", "delete"]}},
            ]
        }
    },
    {
        "$project": {
            "operationType": 1,
            "documentKey": 1,
            "wallTime": 1,
            **{f"updateDescription.updatedFields.{field}": 1 for field in _FIELDS},
            **{f"fullDocument.{field}": 1 for field in _FIELDS},
        }
    },
)


class _Token(Struct, frozen=True):
    """Where a stream was; of no use to the servers of another connection URI."""

    client: Client
    resume: dict[str, Any]


@asynccontextmanager
async def change_stream(
    connection: Connection, collection_of: Callable[[Client], Collection], after: object
) -> AsyncIterator[Stream]:
    """As `SessionStore.watch`."""
    async with connection.use() as client:
        if isinstance(after, _Token) and after.client is not client:
            raise HistoryLost("the connection URI has changed")
        resume = after.resume if isinstance(after, _Token) else None
        reply = LastReply()
        with translated(writes=False), heard_by(reply):
            changes = await _opened(collection_of(client), resume)
        try:
            yield _MongoStream(connection, client, changes, reply)
        finally:
            with suppress(PyMongoError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await changes.close()


async def _opened(collection: Collection, resume: dict[str, Any] | None) -> Changes:
    # The server streams what a majority has, and takes no other read concern.
    collection = collection.with_options(read_concern=ReadConcern("majority"))
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await collection.watch(
                list(PIPELINE),
                resume_after=resume,
                max_await_time_ms=AWAIT_MS,
                batch_size=BATCH,
            )
    except OperationFailure as error:
        if error_code(error) in AUTHENTICATION_FAILED:
            raise
        refused = StreamUnsupported if resume is None else HistoryLost
        raise refused(readable(error)) from error


class _MongoStream(Stream):
    def __init__(
        self, connection: Connection, client: Client, changes: Changes, reply: LastReply
    ) -> None:
        self._connection = connection
        self._client = client
        self._changes = changes
        self._reply = reply
        self._progress = Progress()

    async def receive(self, asked_at: int) -> Heard:
        if self._connection.client is not self._client:
            raise HistoryLost("the connection URI has changed")
        with translated(writes=False), heard_by(self._reply):
            async with asyncio.timeout(ANSWER_SECONDS):
                seen = await self._batch()
        if not self._changes.alive:
            raise HistoryLost("the collection was dropped or renamed")
        resume = self._changes.resume_token
        return Heard(
            seen=seen,
            token=None if resume is None else _Token(self._client, dict(resume)),
            complete_until=self._complete_until(asked_at, resume),
        )

    async def _batch(self) -> list[Seen]:
        """All events of one reply: the driver hands them out one by one."""
        seen: list[Seen] = []
        try:
            event = await self._changes.try_next()
            left = self._reply.size
            while event is not None:
                if (told := seen_of(event)) is not None:
                    seen.append(told)
                left -= 1
                event = await self._changes.try_next() if left > 0 else None
        except OperationFailure as error:
            if error_code(error) in HISTORY_LOST:
                raise HistoryLost(readable(error)) from error
            raise
        return seen

    def _complete_until(self, asked_at: int, resume: Mapping[str, Any] | None) -> int | None:
        position = position_of(resume)
        reply = self._reply
        if not reply.is_of_get_more:
            # What opened the stream may have been sent long before this question.
            return None
        if position is not None and reply.time is not None:
            return self._progress.complete_until(asked_at, reply.time, position)
        # Other servers: they had no more than they sent.
        return asked_at if reply.size < BATCH else None
