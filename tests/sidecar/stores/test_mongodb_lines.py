"""Connections that are kept between commands."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions
from moorline_sidecar.domain.session import Session
from moorline_sidecar.hot import IS_COMPILED
from moorline_sidecar.stores.mongodb_client import Client, open_client
from moorline_sidecar.stores.mongodb_documents import session_document
from moorline_sidecar.stores.mongodb_lines import LINES_MAX, MESSAGE_BYTES_MAX, Line, Lines, TooLong
from moorline_sidecar.stores.mongodb_on_lines import find_on
from pymongo.errors import AutoReconnect, OperationFailure

from tests.contract.sessions import a_session, fresh_key

CODEC: CodecOptions[dict[str, Any]] = DEFAULT_CODEC_OPTIONS


@pytest.fixture
async def client(mongo_uri: str) -> AsyncIterator[Client]:
    async with open_client(mongo_uri) as client:
        yield client


@pytest.fixture
async def lines() -> AsyncIterator[Lines]:
    lines = Lines()
    yield lines
    await lines.close()


async def taken(lines: Lines, client: Client) -> Line:
    await lines.take(client)
    await lines.add(client)
    line = await lines.take(client)
    assert line is not None
    return line


async def test_a_line_is_used_again_and_by_one_at_a_time(client: Client, lines: Lines) -> None:
    line = await taken(lines, client)
    assert (await line.ask("admin", {"ping": 1}, CODEC))["ok"] == 1
    assert await lines.take(client) is None
    await lines.give(line)
    assert await lines.take(client) is line
    await lines.give(line)


async def test_what_the_server_refuses_ends_the_line(client: Client, lines: Lines) -> None:
    line = await taken(lines, client)
    with pytest.raises(OperationFailure, match="noSuchThing"):
        await line.ask("admin", {"noSuchThing": 1}, CODEC)
    assert line.has_sent
    await lines.give(line)
    assert await lines.take(client) is None


async def test_a_connection_that_breaks_is_an_error_of_the_driver(
    client: Client, lines: Lines
) -> None:
    line = await taken(lines, client)
    line._connection.conn.get_conn.transport.abort()  # noqa: SLF001 as a broken link does
    with pytest.raises(AutoReconnect):
        await line.ask("admin", {"ping": 1}, CODEC)
    assert not line.has_sent
    await lines.give(line)
    assert await lines.take(client) is None


async def test_what_is_long_is_left_to_the_driver(client: Client, lines: Lines) -> None:
    line = await taken(lines, client)
    with pytest.raises(TooLong):
        await line.ask("admin", {"ping": 1, "comment": "x" * MESSAGE_BYTES_MAX}, CODEC)
    assert not line.has_sent
    assert (await line.ask("admin", {"ping": 1}, CODEC))["ok"] == 1
    await lines.give(line)


async def test_there_are_so_many_and_no_more(client: Client, lines: Lines) -> None:
    open_now = [await taken(lines, client) for _ in range(LINES_MAX)]
    await lines.add(client)
    assert await lines.take(client) is None
    for line in open_now:
        await lines.give(line)


async def test_lines_of_another_client_end(mongo_uri: str, client: Client, lines: Lines) -> None:
    first = await taken(lines, client)
    second = await taken(lines, client)
    await lines.give(first)
    async with open_client(mongo_uri) as other:
        assert await lines.take(other) is None
        await lines.give(second)
        assert not first.is_open
        assert not second.is_open


async def test_lines_end_with_the_store(client: Client, lines: Lines) -> None:
    line, used = await taken(lines, client), await taken(lines, client)
    await lines.give(line)
    await lines.close()
    await lines.give(used)
    assert not line.is_open
    assert not used.is_open


async def test_whole_sessions_come_from_the_bytes_of_a_reply(client: Client, lines: Lines) -> None:
    session, sessions = a_session(fresh_key()), client["lines"]["sessions"]
    await sessions.insert_one(session_document(session))
    keys, line = [session.key, "none"], await taken(lines, client)

    (whole,) = await find_on(lines, line, sessions, keys, None) or []
    assert isinstance(whole, Session) is IS_COMPILED
    assert (whole.key if IS_COMPILED else whole["_id"]) == session.key

    assert await lines.take(client) is line, "it was given back"
    (part,) = await find_on(lines, line, sessions, keys, ("version",)) or []
    assert part.keys() == {"_id", "version"}
