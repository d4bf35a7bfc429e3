"""The driver's waits: of a condition that is cancelled twice, and for replies."""

import asyncio
import struct
from collections.abc import Mapping
from typing import Any, cast

import pymongo
import pytest
from bson import encode
from moorline_sidecar.stores.mongodb_client import open_client
from moorline_sidecar.stores.mongodb_waiting import mend_waiting, receive, send
from pymongo.asynchronous import pool
from pymongo.errors import AutoReconnect, ProtocolError
from pymongo.lock import _async_cond_wait, _async_create_condition, _async_create_lock
from pymongo.network_layer import PyMongoProtocol
from pymongo.pool_shared import _CancellationContext


async def test_a_wait_that_is_cancelled_twice_ends_with_the_lock_and_leaves_it_free() -> None:
    await open_client("mongodb://127.0.0.1:1/").close()
    lock = _async_create_lock()
    condition = _async_create_condition(lock)

    async def wait() -> None:
        async with condition:
            await _async_cond_wait(condition, 60)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    async with lock:
        # By then it waits for the lock, which it has to have again before it can end.
        for _ in range(5):
            waiting.cancel()
            await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait([waiting], timeout=10)
    assert waiting.cancelled()
    assert not lock.locked()


class Transport(asyncio.Transport):
    """Takes what is written; nothing ever comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_aborted = False

    def write(self, data: Any) -> None:  # noqa: ANN401 as the one it stands for
        self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True


class Connection:
    """As much of the driver's as a message needs, with a time-out of `seconds`."""

    def __init__(self, seconds: float | None) -> None:
        self.transport = Transport()
        self.get_conn = PyMongoProtocol(timeout=seconds)
        self.get_conn.connection_made(self.transport)
        self.conn = self
        self.cancel_context = _CancellationContext()

    async def receive(self) -> Mapping[str, Any]:
        reply = await receive(cast("Any", self), 7, 1 << 20)
        return dict(reply.unpack_response()[0])

    def hear(self, reply: bytes) -> None:
        while reply:
            buffer = self.get_conn.get_buffer(-1)
            part, reply = reply[: len(buffer)], reply[len(buffer) :]
            buffer[: len(part)] = part
            self.get_conn.buffer_updated(len(part))


def reply_to(request: int, kind: int = 2013) -> bytes:
    """An OP_MSG with `{ok: 1}`."""
    body = struct.pack("<IB", 0, 0) + encode({"ok": 1})
    return struct.pack("<iiii", 16 + len(body), 1, request, kind) + body


def test_the_driver_waits_as_this_module_does() -> None:
    mend_waiting()
    used = pool.AsyncConnection.send_message.__globals__
    assert used["async_sendall"] is send
    assert used["async_receive_message"] is receive
    for method in (pool.AsyncConnection.send_message, pool.AsyncConnection.receive_message):
        assert {"async_sendall", "async_receive_message"} & set(method.__code__.co_names)


async def test_a_reply_is_awaited_without_a_task() -> None:
    connection = Connection(seconds=60)
    receiving = asyncio.create_task(connection.receive())
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {receiving, asyncio.current_task()}
    connection.hear(reply_to(7))
    assert await receiving == {"ok": 1}
    assert not connection.transport.is_aborted


async def test_a_message_is_written_without_a_task() -> None:
    connection = Connection(seconds=60)
    with pytest.raises(StopIteration):
        send(connection.get_conn, b"all of it").send(None)
    assert connection.transport.written == b"all of it"


@pytest.mark.parametrize("seconds", [0.01, None], ids=["its-own", "of-the-call"])
async def test_a_reply_that_does_not_come_in_time_closes_the_connection(
    seconds: float | None,
) -> None:
    connection = Connection(seconds)
    with pymongo.timeout(None if seconds else 0.01), pytest.raises(TimeoutError):
        await connection.receive()
    assert connection.transport.is_aborted


async def test_a_connection_that_is_given_up_ends_the_wait() -> None:
    connection = Connection(seconds=None)
    receiving = asyncio.create_task(connection.receive())
    await asyncio.sleep(0)
    connection.cancel_context.cancel()
    with pytest.raises(AutoReconnect):
        await asyncio.wait_for(receiving, timeout=10)
    assert connection.transport.is_aborted


async def test_a_wait_that_is_cancelled_ends_at_once() -> None:
    connection = Connection(seconds=60)
    receiving = asyncio.create_task(connection.receive())
    await asyncio.sleep(0)
    receiving.cancel()
    await asyncio.wait([receiving], timeout=10)
    assert receiving.cancelled()


@pytest.mark.parametrize(
    "reply", [reply_to(8), reply_to(7, kind=4)], ids=["to-another-question", "of-an-unknown-kind"]
)
async def test_a_reply_that_is_none_is_refused(reply: bytes) -> None:
    connection = Connection(seconds=60)
    receiving = asyncio.create_task(connection.receive())
    await asyncio.sleep(0)
    connection.hear(reply)
    with pytest.raises(ProtocolError):
        await receiving
