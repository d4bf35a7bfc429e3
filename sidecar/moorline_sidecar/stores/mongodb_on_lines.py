"""The store's most frequent calls on a line, which is given back in any case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import bson
from pymongo.errors import NetworkTimeout, PyMongoError

from moorline_sidecar.hot import found
from moorline_sidecar.stores.base import Write
from moorline_sidecar.stores.mongodb_commands import Collection, find_command, found_by
from moorline_sidecar.stores.mongodb_documents import session_of
from moorline_sidecar.stores.mongodb_errors import error_code, store_error
from moorline_sidecar.stores.mongodb_lines import Line, Lines, TooLong, unpacked
from moorline_sidecar.stores.mongodb_writes import Known, Writer

if TYPE_CHECKING:
    from bson.codec_options import CodecOptions
    from pymongo.message import _OpMsg

REAUTHENTICATION_REQUIRED: Final = 391
"""Of a token that has run out: the driver gets another one."""


def unpacked_sessions(reply: _OpMsg, codec: CodecOptions[dict[str, Any]]) -> dict[str, Any]:
    """A reply in whose batch are sessions, and documents of what is not as a worker writes one.

    Raises:
        BSONError: it is none.
    """
    read = found(reply.payload_document)
    if read is None:
        return unpacked(reply, codec)
    rest, batch = read
    documents = [
        session_of(each) if isinstance(each, tuple) else bson.decode(each, codec) for each in batch
    ]
    return bson.decode(rest, codec) | {"cursor": {"id": 0, "firstBatch": documents}}


async def find_on(
    lines: Lines,
    line: Line,
    sessions: Collection,
    keys: Sequence[str],
    fields: Sequence[str] | None,
) -> list[Any] | None:
    """What exists among `keys`, as documents; None: the driver is to be asked.

    Where all fields are asked for, a live session may have been read from its bytes already.

    Raises:
        StoreUnavailable: there was no answer in time.
    """
    try:
        command = find_command(sessions, keys, fields)
        unpack = unpacked_sessions if fields is None else unpacked
        reply = await line.ask(sessions.database.name, command, sessions.codec_options, unpack)
    except NetworkTimeout as error:
        raise store_error(error, was_sent=False) from error
    except (PyMongoError, TooLong):
        return None
    finally:
        await lines.give(line)
    return found_by(reply)


async def write_on(
    lines: Lines, line: Line, writer: Writer, sessions: Collection, writes: Sequence[Write]
) -> Known | None:
    """The outcomes that are known; None: nothing was done, and the driver is to be asked.

    Raises:
        StoreUnavailable: the server refused it.
        OutcomeUnknown: there was no answer, or it says so.
    """
    try:
        return await writer.write_on(line, sessions, writes)
    except TooLong:
        return None
    except PyMongoError as error:
        if not line.has_sent or error_code(error) == REAUTHENTICATION_REQUIRED:
            return None
        raise store_error(error, was_sent=True) from error
    finally:
        await lines.give(line)
