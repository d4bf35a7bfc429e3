"""The store's most frequent calls on a line, which is given back in any case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pymongo.errors import NetworkTimeout, PyMongoError

from moorline_sidecar.stores.base import Write
from moorline_sidecar.stores.mongodb_commands import Collection, find_command, found_by
from moorline_sidecar.stores.mongodb_errors import error_code, store_error
from moorline_sidecar.stores.mongodb_lines import Line, Lines, TooLong
from moorline_sidecar.stores.mongodb_writes import Known, Writer

REAUTHENTICATION_REQUIRED: Final = 391
"""Of a token that has run out: the driver gets another one."""


async def find_on(
    lines: Lines,
    line: Line,
    sessions: Collection,
    keys: Sequence[str],
    fields: Sequence[str] | None,
) -> list[dict[str, Any]] | None:
    """The documents that exist among `keys`; None: the driver is to be asked.

    Raises:
        StoreUnavailable: there was no answer in time.
    """
    try:
        command = find_command(sessions, keys, fields)
        reply = await line.ask(sessions.database.name, command, sessions.codec_options)
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
