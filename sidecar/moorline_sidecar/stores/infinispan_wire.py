"""The Hot Rod protocol 3.0, as far as it is used: requests as bytes, and replies from a stream.

https://infinispan.org/docs/stable/titles/hotrod_protocol/hotrod_protocol.html says what goes where.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from moorline_sidecar.stores.infinispan_protobuf import varint

VERSION: Final = 30
"""What every server since Infinispan 10 speaks."""

BYTES_MAX: Final = 256 << 20
"""Of one value; more is no honest reply."""

TEXT: Final = "text/plain"
PROTOBUF: Final = "application/x-protostream"

_REQUEST: Final = 0xA0
_RESPONSE: Final = 0xA1
_VARINT_BITS_MAX: Final = 63
_BASIC: Final = 1
"""A client that is told nothing of the other servers."""
_KNOWS_SERVERS: Final = 2
"""One that is told of them, where there is a cluster."""

_DEFAULT_LIFE: Final = b"\x88"
_SECONDS_LIFE: Final = b"\x08"
"""A lifespan in seconds; the idle time is that of the cache."""

_VERSION_BYTES: Final = 8
_FINITE_LIFE_ABSENT: Final = 1
_FINITE_IDLE_ABSENT: Final = 2


class Operation(enum.IntEnum):
    """What is asked for; the reply has the number behind it."""

    PUT = 0x01
    PUT_IF_ABSENT = 0x05
    REPLACE_IF_SAME = 0x09
    REMOVE = 0x0B
    REMOVE_IF_SAME = 0x0D
    GET_WITH_VERSION = 0x11
    PING = 0x17
    GET_WITH_METADATA = 0x1B
    QUERY = 0x1F
    MECHANISMS = 0x21
    AUTHENTICATE = 0x23
    SIZE = 0x29
    EXECUTE = 0x2B


CHANGING: Final = frozenset(
    {
        Operation.PUT,
        Operation.PUT_IF_ABSENT,
        Operation.REPLACE_IF_SAME,
        Operation.REMOVE,
        Operation.REMOVE_IF_SAME,
    }
)


class Status(enum.IntEnum):
    """How it went; from `BAD_MAGIC` on it is an error, with a text."""

    DONE = 0x00
    NOT_DONE = 0x01
    ABSENT = 0x02
    BAD_MAGIC = 0x81
    UNKNOWN_OPERATION = 0x82
    UNKNOWN_VERSION = 0x83
    UNREADABLE = 0x84
    FAILED = 0x85
    TIMED_OUT = 0x86
    NODE_LOST = 0x87
    NOT_RUNNING = 0x88


class BadReply(Exception):
    """What came is no reply to what was asked."""


class Request(Struct, frozen=True):
    """`body` is all behind the header.

    `form` is the media type of keys and values; without one they are as they are stored.
    """

    operation: int
    cache: str
    body: bytes = b""
    form: str = ""
    intelligence: int = _BASIC


class Reply(Struct, frozen=True, kw_only=True):
    """`version` is that of the entry; `at` is when it was made, in milliseconds.

    `servers` are those of the cluster, where there is one and they were asked for.
    """

    status: int
    value: bytes = b""
    version: bytes = b""
    at: int = 0
    number: int = 0
    servers: int = 0

    @property
    def is_done(self) -> bool:
        return self.status == Status.DONE

    @property
    def is_error(self) -> bool:
        return self.status >= Status.BAD_MAGIC

    @property
    def text(self) -> str:
        return self.value.decode(errors="replace")


def get(cache: str, key: bytes) -> Request:
    return Request(Operation.GET_WITH_VERSION, cache, sized(key))


def get_text(cache: str, key: bytes) -> Request:
    """Get it with key and value as texts."""
    return Request(Operation.GET_WITH_VERSION, cache, sized(key), TEXT)


def get_made(cache: str, key: bytes) -> Request:
    """Get it with the time of its making, which only what ends by itself has."""
    return Request(Operation.GET_WITH_METADATA, cache, sized(key))


def put(cache: str, key: bytes, value: bytes, *, seconds: int = 0, form: str = "") -> Request:
    """`seconds`: after which it ends by itself; 0: as the cache is set."""
    life = _SECONDS_LIFE + varint(seconds) if seconds else _DEFAULT_LIFE
    return Request(Operation.PUT, cache, sized(key) + life + sized(value), form)


def put_if_absent(cache: str, key: bytes, value: bytes) -> Request:
    return Request(Operation.PUT_IF_ABSENT, cache, sized(key) + _DEFAULT_LIFE + sized(value))


def replace_if_same(cache: str, key: bytes, version: bytes, value: bytes) -> Request:
    body = sized(key) + _DEFAULT_LIFE + version + sized(value)
    return Request(Operation.REPLACE_IF_SAME, cache, body)


def remove(cache: str, key: bytes) -> Request:
    return Request(Operation.REMOVE, cache, sized(key))


def remove_if_same(cache: str, key: bytes, version: bytes) -> Request:
    return Request(Operation.REMOVE_IF_SAME, cache, sized(key) + version)


def query(cache: str, text: bytes) -> Request:
    return Request(Operation.QUERY, cache, sized(text), PROTOBUF)


def size(cache: str) -> Request:
    return Request(Operation.SIZE, cache)


def ping(cache: str) -> Request:
    return Request(Operation.PING, cache)


def servers(cache: str) -> Request:
    """Ask which servers have the cache."""
    return Request(Operation.PING, cache, intelligence=_KNOWS_SERVERS)


def mechanisms() -> Request:
    return Request(Operation.MECHANISMS, "")


def authenticate(mechanism: str, message: bytes) -> Request:
    return Request(Operation.AUTHENTICATE, "", sized(mechanism.encode()) + sized(message))


def execute(task: str, arguments: Mapping[str, str]) -> Request:
    """Have a task of the server done."""
    body = sized(task.encode()) + varint(len(arguments))
    for name, value in arguments.items():
        body += sized(name.encode()) + sized(value.encode())
    return Request(Operation.EXECUTE, "", body, TEXT)


def sized(data: bytes) -> bytes:
    return varint(len(data)) + data


def packed(request: Request, number: int) -> bytes:
    """The bytes of the request; the reply will have the same number."""
    form = b"\x02" + sized(request.form.encode()) + b"\x00" if request.form else b"\x00"
    return b"".join(
        (
            bytes((_REQUEST,)),
            varint(number),
            bytes((VERSION, request.operation)),
            sized(request.cache.encode()),
            # No flags, and no topology that is known.
            bytes((0, request.intelligence, 0)),
            form,
            form,
            request.body,
        )
    )


async def reply_from(
    stream: asyncio.StreamReader, requests: Mapping[int, Request]
) -> tuple[int, Reply]:
    """The next reply, to any of the requests that are under way, with the number of it.

    Raises:
        BadReply: it is none.
        OSError, EOFError: the connection is broken.
    """
    if await _byte(stream) != _RESPONSE:
        raise BadReply("the server does not speak Hot Rod")
    number = await _varint(stream)
    _operation, status, has_topology = await stream.readexactly(3)
    if status >= Status.BAD_MAGIC:
        return number, Reply(status=status, value=await _sized(stream))
    request = requests.get(number)
    if request is None:
        raise BadReply("the server answered something else")
    servers = await _servers(stream) if has_topology else 0
    reply = await _body(stream, request.operation, status)
    return number, replace(reply, servers=servers) if servers else reply


async def _body(stream: asyncio.StreamReader, operation: int, status: int) -> Reply:
    if status != Status.DONE:
        return Reply(status=status)
    read = _BODIES.get(operation)
    return Reply(status=status) if read is None else await read(stream, status)


async def _servers(stream: asyncio.StreamReader) -> int:
    """How many servers there are, of which names and ports are passed over."""
    await _varint(stream)
    servers = await _varint(stream)
    for _ in range(servers):
        await _sized(stream)
        await stream.readexactly(2)
    return servers


async def _entry(stream: asyncio.StreamReader, status: int, at: int = 0) -> Reply:
    version = await stream.readexactly(_VERSION_BYTES)
    return Reply(status=status, version=version, value=await _sized(stream), at=at)


async def _made_entry(stream: asyncio.StreamReader, status: int) -> Reply:
    return await _entry(stream, status, await _made(stream))


async def _amount(stream: asyncio.StreamReader, status: int) -> Reply:
    return Reply(status=status, number=await _varint(stream))


async def _value(stream: asyncio.StreamReader, status: int) -> Reply:
    return Reply(status=status, value=await _sized(stream))


async def _names(stream: asyncio.StreamReader, status: int) -> Reply:
    names = [await _sized(stream) for _ in range(await _varint(stream))]
    return Reply(status=status, value=b" ".join(names))


async def _challenge(stream: asyncio.StreamReader, status: int) -> Reply:
    is_over = await _byte(stream)
    return Reply(status=status, number=is_over, value=await _sized(stream))


async def _made(stream: asyncio.StreamReader) -> int:
    absent = await _byte(stream)
    at = 0
    if not absent & _FINITE_LIFE_ABSENT:
        at = int.from_bytes(await stream.readexactly(8), "big")
        await _varint(stream)
    if not absent & _FINITE_IDLE_ABSENT:
        await stream.readexactly(8)
        await _varint(stream)
    return at


async def _greeting(stream: asyncio.StreamReader, status: int) -> Reply:
    """How the cache keeps what it keeps, and the newest version that the server speaks."""
    kept = b""
    for _ in range(2):
        kept = await _type(stream)
    newest = await _byte(stream)
    await stream.readexactly(2 * await _varint(stream))
    return Reply(status=status, number=newest, value=kept)


async def _type(stream: asyncio.StreamReader) -> bytes:
    kind = await _byte(stream)
    if not kind:
        return b""
    name = str(await _varint(stream)).encode() if kind == 1 else await _sized(stream)
    for _ in range(2 * await _varint(stream)):
        await _sized(stream)
    return name


async def _byte(stream: asyncio.StreamReader) -> int:
    return (await stream.readexactly(1))[0]


async def _varint(stream: asyncio.StreamReader) -> int:
    number = shift = 0
    while True:
        byte = await _byte(stream)
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
            return number
        shift += 7
        if shift > _VARINT_BITS_MAX:
            raise BadReply("a number is too long")


async def _sized(stream: asyncio.StreamReader) -> bytes:
    length = await _varint(stream)
    if length > BYTES_MAX:
        raise BadReply("a value is too long")
    return await stream.readexactly(length)


_BODIES: Final[dict[int, Callable[[asyncio.StreamReader, int], Awaitable[Reply]]]] = {
    Operation.GET_WITH_VERSION: _entry,
    Operation.GET_WITH_METADATA: _made_entry,
    Operation.SIZE: _amount,
    Operation.QUERY: _value,
    Operation.EXECUTE: _value,
    Operation.MECHANISMS: _names,
    Operation.AUTHENTICATE: _challenge,
    Operation.PING: _greeting,
}
"""What is behind the header where it went well; nothing behind the others."""
