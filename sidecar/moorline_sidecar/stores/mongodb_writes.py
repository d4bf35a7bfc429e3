"""Carrying out the port's conditional writes, and finding out what became of each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from pymongo import UpdateOne
from pymongo.errors import (
    ClientBulkWriteException,
    DocumentTooLarge,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WriteError,
)
from pymongo.results import ClientBulkWriteResult

from moorline_sidecar.errors import OutcomeUnknown
from moorline_sidecar.stores.base import Outcome, Write
from moorline_sidecar.stores.mongodb_commands import (
    Collection,
    bulk_command,
    check_concern,
    matched_by,
    update_command,
    update_one,
)
from moorline_sidecar.stores.mongodb_errors import (
    COMMAND_NOT_FOUND,
    TOO_LARGE_CODES,
    error_code,
    is_refused,
    readable,
)
from moorline_sidecar.stores.mongodb_lines import Line
from moorline_sidecar.stores.mongodb_updates import operation_of

Known: TypeAlias = dict[int, Outcome]
"""Outcomes by the index of their write; those that matched no document are not among them."""

OUTCOME_FIELDS: Final = ("valid", "version", "writeId")


class Writer:
    """Writes records, many at once with bulk writes that tell of each, where the server has them.

    MongoDB has since 8.0. Its older bulk writes only tell how many documents matched; who did has
    then to be read, and is not to be seen any more once somebody else has written on top.
    """

    def __init__(self, *, has_bulk: bool = True) -> None:
        self._has_bulk = has_bulk

    async def write(
        self, collection: Collection, writes: Sequence[Write], known: Known | None = None
    ) -> list[Outcome]:
        """What became of each write, in order; `known`: that of the line on which they were sent.

        Raises:
            OutcomeUnknown: what became of one is not known.
            PyMongoError: the same, or nothing was applied.
        """
        if known is None:
            known = await self._known(collection, writes)
        missed = [write.key for index, write in enumerate(writes) if index not in known]
        found = await _look(collection, missed) if missed else {}
        return [
            known[index] if index in known else _outcome(write, found.get(write.key))
            for index, write in enumerate(writes)
        ]

    async def write_on(
        self, line: Line, collection: Collection, writes: Sequence[Write]
    ) -> Known | None:
        """The outcomes that a line's command tells; None: there is none for them.

        Raises:
            PyMongoError: the line has ended, or the write concern was not met.
            TooLong: nothing was sent.
        """
        if len(writes) == 1:
            command = update_command(collection, [operation_of(writes[0])])
            reply = await line.ask(collection.database.name, command, collection.codec_options)
            try:
                return {0: Outcome.APPLIED} if matched_by(reply) else {}
            except WriteError as error:
                return {0: _failure(error.code)}
        if not self._has_bulk or not line.has_bulk_write:
            return None
        command = bulk_command(collection, (operation_of(write) for write in writes))
        reply = await line.ask("admin", command, collection.codec_options)
        check_concern(reply)
        return {
            told["idx"]: outcome
            for told in reply["cursor"]["firstBatch"]
            if (outcome := _told(told)) is not None
        }

    async def _known(self, collection: Collection, writes: Sequence[Write]) -> Known:
        if len(writes) == 1:
            outcome = await _single(collection, writes[0])
            return {} if outcome is None else {0: outcome}
        if self._has_bulk:
            try:
                return await _bulk(collection, writes)
            except _BulkUnsupported:
                self._has_bulk = False
            except DocumentTooLarge:
                # The driver refuses all for one, maybe after it has sent others: those that were
                # applied are known again by their write ids.
                return await _each(collection, writes)
        return await _each(collection, writes)


class _BulkUnsupported(Exception):
    """The server does not know the command; nothing was applied."""


async def _each(collection: Collection, writes: Sequence[Write]) -> Known:
    """All at once, each on its own; the pool of connections bounds how many are under way."""
    known: Known = {}
    errors: list[PyMongoError] = []

    async def write_one(index: int, write: Write) -> None:
        try:
            outcome = await _single(collection, write)
        except PyMongoError as error:
            errors.append(error)
        else:
            known.update({} if outcome is None else {index: outcome})

    async with asyncio.TaskGroup() as group:
        for index, write in enumerate(writes):
            group.create_task(write_one(index, write))
    if errors and len(errors) < len(writes):
        raise OutcomeUnknown(readable(errors[0])) from errors[0]
    if errors:
        raise next((error for error in errors if not is_refused(error)), errors[0])
    return known


async def _single(collection: Collection, write: Write) -> Outcome | None:
    """None: no document matched."""
    try:
        is_applied = await update_one(collection, *operation_of(write))
    except WriteError as error:
        return _failure(error.code)
    except DocumentTooLarge:
        return Outcome.TOO_LARGE
    return Outcome.APPLIED if is_applied else None


async def _bulk(collection: Collection, writes: Sequence[Write]) -> Known:
    models = [UpdateOne(*operation_of(write), namespace=collection.full_name) for write in writes]
    try:
        result: ClientBulkWriteResult | None = await collection.database.client.bulk_write(
            models,
            ordered=False,
            verbose_results=True,
            write_concern=collection.write_concern,
        )
        failures: Known = {}
    except InvalidOperation as error:
        raise _BulkUnsupported from error
    except ClientBulkWriteException as error:
        _raise_what_concerns_all(error)
        result = error.partial_result
        failures = {
            failed["idx"]: _failure(failed.get("code")) for failed in error.details["writeErrors"]
        }
    matches = result.update_results.items() if result is not None else ()
    return failures | {index: Outcome.APPLIED for index, match in matches if match.matched_count}


async def _look(collection: Collection, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    try:
        cursor = collection.find({"_id": {"$in": list(keys)}}, OUTCOME_FIELDS)
        return {document["_id"]: document for document in await cursor.to_list()}
    except PyMongoError as error:
        # An earlier attempt may have been applied, and here is nobody to tell.
        raise OutcomeUnknown(readable(error)) from error


def _outcome(write: Write, found: Mapping[str, Any] | None) -> Outcome:
    if found is None:
        return Outcome.ABSENT
    if write.write_id and found.get("writeId") == write.write_id:
        return Outcome.APPLIED
    return Outcome.CONFLICT if found.get("valid") is True else Outcome.ENDED


def _told(told: Mapping[str, Any]) -> Outcome | None:
    """What one item of a bulk write's reply says; None: no document matched."""
    if told["ok"] != 1:
        return _failure(told.get("code"))
    return Outcome.APPLIED if told["n"] else None


def _failure(code: int | None) -> Outcome:
    return Outcome.TOO_LARGE if code in TOO_LARGE_CODES else Outcome.REFUSED


def _raise_what_concerns_all(error: ClientBulkWriteException) -> None:
    if error.write_concern_errors:
        raise WriteConcernError("the write concern was not met") from error
    if error.error is None:
        return
    if COMMAND_NOT_FOUND in (error_code(error), error_code(error.error)):
        raise _BulkUnsupported from error
    if error.partial_result is not None:
        # What does not fit into one message is sent in several.
        raise OutcomeUnknown(readable(error)) from error
    if isinstance(error.error, PyMongoError):
        raise error.error
    reply = error.error if isinstance(error.error, dict) else {}
    raise OperationFailure(str(reply.get("errmsg")), reply.get("code"), reply)
