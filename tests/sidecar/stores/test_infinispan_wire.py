"""What goes over the wire to Infinispan, and what is made of its replies."""

import asyncio

import pytest
from moorline_sidecar.domain.session import Session
from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.infinispan_errors import ServerError
from moorline_sidecar.stores.infinispan_protobuf import (
    Scalar,
    field,
    fields_of,
    rows_of,
    unwrapped,
    wrapped_message,
    wrapped_number,
    wrapped_text,
)
from moorline_sidecar.stores.infinispan_records import read, value_of
from moorline_sidecar.stores.infinispan_scram import NotWhoTheySay, Scram

from tests.contract.sessions import T0, a_session

GET = wire.get("c", b"k")
REPLIES = {
    "an entry": (GET, b"\xa1\x01\x12\x00\x0001234567\x03abc", (0, b"abc", b"01234567", 0)),
    "no entry": (GET, b"\xa1\x01\x12\x02\x00", (2, b"", b"", 0)),
    "a large number": (wire.size("c"), b"\xa1\x01\x2a\x00\x00\xac\x02", (0, b"", b"", 300)),
    "an error": (GET, b"\xa1\x01\x50\x85\x00\x04oops", (0x85, b"oops", b"", 0)),
}


async def replied(data: bytes, request: wire.Request) -> wire.Reply:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    number, reply = await wire.reply_from(stream, {1: request})
    assert number == 1
    assert await stream.read() == b""
    return reply


@pytest.mark.parametrize(("request_", "data", "expected"), REPLIES.values(), ids=REPLIES.keys())
async def test_a_reply_is_read_to_its_end(
    request_: wire.Request, data: bytes, expected: tuple[int, bytes, bytes, int]
) -> None:
    reply = await replied(data, request_)

    assert (reply.status, reply.value, reply.version, reply.number) == expected


NO_REPLIES = {
    "something else": b"HTTP/1.1",
    "another request's": b"\xa1\x02\x12\x00\x00",
    "a number without end": b"\xa1" + b"\xff" * 12,
    "a value of a terabyte": b"\xa1\x01\x12\x00\x0001234567" + b"\xff" * 5 + b"\x7f",
}


@pytest.mark.parametrize("data", NO_REPLIES.values(), ids=NO_REPLIES.keys())
async def test_what_is_no_reply_is_refused(data: bytes) -> None:
    with pytest.raises(wire.BadReply):
        await replied(data, GET)


@pytest.mark.parametrize("length", [0, 1, 3, 9, 14])
async def test_a_reply_that_breaks_off_is_a_broken_connection(length: int) -> None:
    _, data, _ = REPLIES["an entry"]
    with pytest.raises(EOFError):
        await replied(data[:length], GET)


def test_a_request_has_its_number_and_the_number_of_what_it_asks_for() -> None:
    assert wire.packed(GET, 300) == b"\xa0\xac\x02\x1e\x11\x01c\x00\x01\x00\x00\x00\x01k"


@pytest.mark.parametrize(
    ("status", "text", "is_begun"),
    [
        pytest.param(wire.Status.FAILED, "java.lang.NullPointerException", True, id="anything"),
        pytest.param(wire.Status.TIMED_OUT, "TimeoutException", True, id="late"),
        pytest.param(wire.Status.NODE_LOST, "SuspectException", True, id="a server lost"),
        pytest.param(wire.Status.FAILED, "AvailabilityException: ...", True, id="a minority"),
        pytest.param(wire.Status.FAILED, "java.lang.SecurityException", False, id="forbidden"),
        pytest.param(wire.Status.UNREADABLE, "CacheNotFoundException", False, id="no cache"),
        pytest.param(wire.Status.NOT_RUNNING, "stopped", True, id="stopped"),
    ],
)
def test_an_error_says_whether_anything_may_have_been_done(
    status: int, text: str, *, is_begun: bool
) -> None:
    assert ServerError(wire.Reply(status=status, value=text.encode())).is_begun is is_begun


VALUES: dict[str, tuple[bytes, Scalar]] = {
    "a text": (wrapped_text("é"), "é"),
    "a number": (wrapped_number(300), 300),
    "a number below zero": (wrapped_number(-5), -5),
    "a message": (wrapped_message("t", b"\x08\x01"), b"\x08\x01"),
    "nothing": (b"", None),
}


@pytest.mark.parametrize(("wrapped", "value"), VALUES.values(), ids=VALUES.keys())
def test_what_is_wrapped_comes_back(wrapped: bytes, value: Scalar) -> None:
    assert unwrapped(wrapped) == value


def test_the_values_of_a_query_are_rows_of_what_it_selects() -> None:
    values = b"".join(field(3, wrapped) for wrapped in (wrapped_text("k"), wrapped_number(1), b""))

    assert rows_of(field(2, 3) + values) == [["k", 1, None]]
    assert rows_of(field(1, 0)) == []


@pytest.mark.parametrize(
    "message", [b"\x0a", b"\x0a\x05abc", b"\x0b", b"\x08\xff"], ids=["tag", "short", "kind", "end"]
)
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="no "):
        list(fields_of(message))


def test_the_same_session_is_the_same_bytes_and_comes_back() -> None:
    session = a_session(
        principal="ada", renew_of="origin", contexts={"/": {"b": 1, "a": 2}}, write_id="w"
    )
    again = a_session(
        principal="ada", renew_of="origin", contexts={"/": {"a": 2, "b": 1}}, write_id="w"
    )

    assert value_of(session) == value_of(again)
    assert read(session.key, value_of(session)) == session
    assert isinstance(session, Session)


@pytest.mark.parametrize(
    "value", [b"", b"\xff", wrapped_text("x"), wrapped_message("x", b"\x0a"), wrapped_number(1)]
)
def test_what_nobody_can_read_is_no_record(value: bytes) -> None:
    assert read("key", value) is None


def test_a_session_that_is_a_copy_is_not_due() -> None:
    def numbers(session: Session) -> dict[int, object]:
        message = unwrapped(value_of(session))
        assert isinstance(message, bytes)
        return dict(fields_of(message))

    assert numbers(a_session(expiry=T0))[5] == T0
    assert 5 not in numbers(a_session(expiry=T0, renew_of="origin"))


# RFC 7677, 3
USER, PASSWORD, NONCE = "user", "pencil", "rOprNGfwEbeRWgbNEkqO"
CHALLENGE = (
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
)
PROOF = (
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
ANSWER = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def a_conversation() -> Scram:
    return Scram("SCRAM-SHA-256", USER, PASSWORD, NONCE)


def test_the_password_is_proven_and_the_server_proves_that_it_knows_it() -> None:
    scram = a_conversation()

    assert scram.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert scram.second(CHALLENGE) == PROOF
    scram.check(ANSWER)


@pytest.mark.parametrize(
    "challenge",
    [
        b"r=another,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        CHALLENGE.replace(b"i=4096", b"i=999999999"),
        CHALLENGE.replace(b"i=4096", b"i=0"),
        CHALLENGE.replace(b"s=W22Z", b"s=!"),
        b"",
    ],
    ids=["another nonce", "years of work", "no work", "no salt", "nothing"],
)
def test_a_challenge_that_is_none_is_refused(challenge: bytes) -> None:
    with pytest.raises(NotWhoTheySay):
        a_conversation().second(challenge)


@pytest.mark.parametrize("answer", [b"", b"v=", ANSWER[:-3] + b"AA=", b"e=other-error"])
def test_a_server_that_does_not_know_the_password_is_none(answer: bytes) -> None:
    scram = a_conversation()
    scram.second(CHALLENGE)

    with pytest.raises(NotWhoTheySay):
        scram.check(answer)
