"""MongoDB, and what speaks its protocol: one document per session (docs/operations.md).

Every write is one conditional operation on one document, so that it is the same on a replica set,
a sharded cluster and compatible servers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, TypeVar

import pymongo
from bson import encode as bson_encode
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import ASCENDING
from pymongo.errors import DocumentTooLarge, PyMongoError, WriteError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from moorline_sidecar.domain.session import Mark, Record, Session
from moorline_sidecar.errors import ConfigurationError, StoreError, StoreUnavailable, TooLarge
from moorline_sidecar.stores.base import (
    BATCH,
    CALL_SECONDS,
    PURGE_SECONDS,
    Copy,
    Expired,
    Outcome,
    Purge,
    SessionStore,
    Stream,
    Summary,
    Touch,
    Write,
)
from moorline_sidecar.stores.diagnosis import READY, Diagnosis
from moorline_sidecar.stores.mongodb_client import Client, Connection
from moorline_sidecar.stores.mongodb_commands import Collection, find_by_keys, update_many
from moorline_sidecar.stores.mongodb_diagnosis import diagnose
from moorline_sidecar.stores.mongodb_documents import (
    COPY_FIELDS,
    GUARD_FIELDS,
    MARK_FIELDS,
    SUMMARY_FIELDS,
    copy_of,
    date,
    expired_of,
    mark_of,
    record_of,
    session_document,
    summary_of,
)
from moorline_sidecar.stores.mongodb_errors import TOO_LARGE_CODES, translated
from moorline_sidecar.stores.mongodb_indexes import make_indexes
from moorline_sidecar.stores.mongodb_lines import Lines
from moorline_sidecar.stores.mongodb_on_lines import find_on, write_on
from moorline_sidecar.stores.mongodb_purging import Purger, purge_some
from moorline_sidecar.stores.mongodb_registry import MongoRegistry
from moorline_sidecar.stores.mongodb_stream import change_stream
from moorline_sidecar.stores.mongodb_updates import END_OF_GRACE, purge_filter, touch_operation
from moorline_sidecar.stores.mongodb_writes import Known, Writer
from moorline_sidecar.stores.registry import Registry

Result = TypeVar("Result")

OVERTIME_SECONDS: Final = 0.1
"""What the driver is given on top, which looks at the time only between two attempts to read."""

PREPARE_SECONDS: Final = 300.0
"""For the indexes of a large collection that has none yet."""

DOCUMENT_BYTES_MAX: Final = 16 * 1024 * 1024
"""BSON's limit on every server."""

CODEC: Final[CodecOptions[dict[str, Any]]] = CodecOptions(
    # A person's edit may hold dates and texts that Python has none for.
    datetime_conversion=DatetimeConversion.DATETIME_MS,
    unicode_decode_error_handler="replace",
)


class MongoStore(SessionStore):
    """The sessions of one collection."""

    def __init__(  # noqa: PLR0913 two of them are parts of it
        self,
        connection: Connection,
        database: str,
        collection: str,
        write_concern: int | str = "majority",
        *,
        writer: Writer | None = None,
        purger: Purger | None = None,
    ) -> None:
        self._connection = connection
        self._database = database
        self._collection = collection
        self._write_concern = WriteConcern(w=write_concern, j=True)
        self._writer = writer or Writer()
        self._purger = purger or Purger()
        self._lines = Lines()
        self._opened: tuple[Client, Collection] | None = None

    async def load(self, keys: Sequence[str]) -> dict[str, Record]:
        found = await self._find_keys(keys)
        records = [each if isinstance(each, Session) else record_of(each) for each in found]
        return {record.key: record for record in records}

    async def confirm(self, keys: Sequence[str]) -> dict[str, Mark]:
        documents = await self._find_keys(keys, MARK_FIELDS)
        return {document["_id"]: mark_of(document) for document in documents}

    async def insert(self, session: Session) -> None:
        document = session_document(session)

        async def insert(sessions: Collection) -> None:
            try:
                await sessions.insert_one(document)
            except DocumentTooLarge as error:
                raise _too_large(document) from error
            except WriteError as error:
                if error.code in TOO_LARGE_CODES:
                    raise _too_large(document) from error
                raise

        await self._run(insert, writes=True)

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        if not writes:
            return []
        known: Known | None = None
        line = await self._lines.take(self._connection.client)
        if line is not None:
            sessions = self._sessions(line.client)
            try:
                known = await write_on(self._lines, line, self._writer, sessions, writes)
            except StoreUnavailable:
                if not await self._connection.refresh(line.client):
                    raise
        if known is not None and len(known) == len(writes):
            return [known[index] for index in range(len(writes))]
        return await self._run(
            lambda sessions: self._writer.write(sessions, writes, known), writes=True, adds=True
        )

    async def touch(self, touches: Sequence[Touch]) -> None:
        updates = [touch_operation(touch) for touch in touches]
        if updates:
            await self._run(lambda sessions: update_many(sessions, updates), writes=True)

    async def settle(self, key: str, origin: str) -> bool:
        async def settle(sessions: Collection) -> bool:
            result = await sessions.update_one(_copy(key, origin), {"$unset": {"renewOf": ""}})
            return bool(result.matched_count)

        return await self._run(settle, writes=True)

    async def discard(self, key: str, origin: str, version: int) -> bool:
        copy = {**_copy(key, origin), "version": version}

        async def discard(sessions: Collection) -> bool:
            return bool((await sessions.delete_one(copy)).deleted_count)

        return await self._run(discard, writes=True)

    async def expired(self, before: int, limit: int) -> list[Expired]:
        found = {"valid": True, "expiry": {"$lt": date(before)}, "renewOf": {"$exists": False}}
        documents = await self._find(found, GUARD_FIELDS, limit, sort="expiry")
        return [expired_of(document) for document in documents]

    async def copies(self, created_before: int, limit: int) -> list[Copy]:
        found = {
            "valid": True,
            "renewOf": {"$exists": True},
            "lastSaved": {"$lt": date(created_before)},
        }
        return [copy_of(document) for document in await self._find(found, COPY_FIELDS, limit)]

    async def drop_grace(self, before: int, limit: int) -> int:
        over = {"valid": False, "graceUntil": {"$lt": date(before)}}

        async def drop(sessions: Collection) -> int:
            keys = await _keys(sessions, over, limit)
            if not keys:
                return 0
            result = await sessions.update_many({"_id": {"$in": keys}, **over}, END_OF_GRACE)
            return result.matched_count

        return await self._run(drop, writes=True)

    async def by_principal(self, principal: str, after: str | None, limit: int) -> list[Summary]:
        found: dict[str, Any] = {"valid": True, "principal": principal}
        if after is not None:
            found["_id"] = {"$gt": after}
        documents = await self._find(found, SUMMARY_FIELDS, limit, sort="_id")
        return [summary_of(document) for document in documents]

    async def purge(self, purge: Purge, limit: int) -> int:
        async def delete(sessions: Collection) -> int:
            if limit:
                return await purge_some(sessions, purge_filter(purge), limit)
            return await self._purger.purge(sessions, purge)

        return await self._run(delete, writes=True, seconds=PURGE_SECONDS)

    async def purgeable(self, purge: Purge, limit: int) -> int:
        due = purge_filter(purge)

        async def count(sessions: Collection) -> int:
            if limit:
                return await sessions.count_documents(due, limit=limit)
            return await sessions.count_documents(due)

        return await self._run(count, seconds=PURGE_SECONDS)

    def watch(self, after: object = None) -> AbstractAsyncContextManager[Stream]:
        return change_stream(self._connection, self._sessions, after)

    def registry(self) -> Registry:
        return MongoRegistry(self._run)

    async def count(self) -> int:
        return await self._run(lambda sessions: sessions.estimated_document_count())

    async def now(self) -> int:
        reply = await self._command("hello")
        told = reply.get("localTime")
        return time.time_ns() // 1_000_000 if told is None else int(told)

    async def prepare(self) -> list[str]:
        return await self._run(make_indexes, seconds=PREPARE_SECONDS)

    async def server(self) -> str:
        reply = await self._command("buildInfo")
        return f"MongoDB {reply.get('version', 'of unknown version')}"

    async def close(self) -> None:
        await self._lines.close()
        await self._connection.close()

    async def check(self) -> Diagnosis:
        """Reach the server, make the indexes, and say how it went; no error is raised."""
        try:
            server = await self.server()
            indexes = tuple(await self.prepare())
        except (StoreError, ConfigurationError) as error:
            return diagnose(error, self._connection.servers())
        return Diagnosis(
            reason=READY, detail=f"{server} is in reach", server=server, indexes=indexes
        )

    async def _find_keys(
        self, keys: Sequence[str], fields: Sequence[str] | None = None
    ) -> list[Any]:
        """What `find_on` returns."""
        if not keys:
            return []
        line = await self._lines.take(self._connection.client)
        if line is not None:
            sessions = self._sessions(line.client)
            documents = await find_on(self._lines, line, sessions, keys, fields)
            if documents is not None:
                return documents
        return await self._run(lambda sessions: find_by_keys(sessions, keys, fields), adds=True)

    async def _find(
        self,
        found: Mapping[str, Any],
        fields: Sequence[str] | None,
        limit: int,
        sort: str | None = None,
    ) -> list[dict[str, Any]]:
        async def find(sessions: Collection) -> list[dict[str, Any]]:
            # One reply holds them all, unless they exceed its 16 MiB.
            most = limit or BATCH
            cursor = sessions.find(found, fields, limit=most, batch_size=most)
            return await (cursor.sort(sort, ASCENDING) if sort else cursor).to_list()

        return await self._run(find)

    async def _command(self, name: str) -> Mapping[str, Any]:
        return await self._run(
            lambda sessions: sessions.database.client.admin.command(name, codec_options=CODEC)
        )

    async def _run(
        self,
        operation: Callable[[Collection], Awaitable[Result]],
        *,
        writes: bool = False,
        adds: bool = False,
        seconds: float = CALL_SECONDS,
    ) -> Result:
        """What `operation` returns, tried again if it was not applied and the URI has changed.

        `adds`: calls like this one go by lines where there are any.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        with pymongo.timeout(seconds):
            while True:
                client: Client | None = None
                try:
                    async with self._connection.use() as client:
                        with translated(writes=writes):
                            async with asyncio.timeout_at(deadline + OVERTIME_SECONDS):
                                result = await operation(self._sessions(client))
                        if adds:
                            await self._add_line(client, deadline)
                        return result
                except StoreUnavailable:
                    if not await self._connection.refresh(client) or clock() >= deadline:
                        raise

    async def _add_line(self, client: Client, deadline: float) -> None:
        """One more for the next of these calls; without it they are the driver's."""
        with suppress(PyMongoError, TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._lines.add(client)

    def _sessions(self, client: Client) -> Collection:
        if self._opened is None or self._opened[0] is not client:
            self._opened = client, self._open(client)
        return self._opened[1]

    def _open(self, client: Client) -> Collection:
        return client[self._database].get_collection(
            self._collection,
            codec_options=CODEC,
            read_preference=ReadPreference.PRIMARY,
            write_concern=self._write_concern,
            # What the primary has now: with "majority" a worker would meet, over and over, the
            # version that its guarded write has just failed on. An acknowledged write is of the
            # majority all the same.
            read_concern=ReadConcern("local"),
        )


def _copy(key: str, origin: str) -> dict[str, Any]:
    return {"_id": key, "valid": True, "renewOf": origin}


async def _keys(sessions: Collection, found: Mapping[str, Any], limit: int) -> list[str]:
    most = limit or BATCH
    cursor = sessions.find(found, ("_id",), limit=most, batch_size=most)
    return [document["_id"] for document in await cursor.to_list()]


def _too_large(document: Mapping[str, Any]) -> TooLarge:
    return TooLarge(len(bson_encode(document)), DOCUMENT_BYTES_MAX)
