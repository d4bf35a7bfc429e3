import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.http.gate import Gate

OPEN = Gate()
NAMED = Gate(["moorline.internal", "10.1.2.3", "fd00::1", ""])


@pytest.mark.parametrize("gate", [OPEN, NAMED], ids=["loopback only", "with hosts"])
@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"localhost:7070",
        b"LocalHost:7070",
        b"localhost:",
        b"127.0.0.1",
        b"127.0.0.1:7070",
        b"127.255.255.254:1",
        b"[::1]",
        b"[::1]:7070",
    ],
)
def test_loopback_is_let_in(gate: Gate, host: bytes) -> None:
    assert gate.refusal({b"host": host}) is None
    assert gate.refusal({b"host": host}) is None, "remembered"


@pytest.mark.parametrize(
    "host", [b"moorline.internal", b"Moorline.Internal:80", b"10.1.2.3:7070", b"[fd00::1]:7070"]
)
def test_the_host_of_the_listener_is_let_in_there_alone(host: bytes) -> None:
    assert NAMED.refusal({b"host": host}) is None
    assert OPEN.refusal({b"host": host}) is not None


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b":7070",
        b"evil.example",
        b"localhost.evil.example",
        b"evil.example:7070",
        b"127.0.0.1.evil.example",
        b"127.0.0.256",
        b"127.0.0.01",
        b"127.1",
        b"128.0.0.1",
        b"0.0.0.0",
        b"::1",
        b"[::1",
        b"[::2]",
        b"localhost:port",
        b"localhost, evil.example",
        b"user@localhost",
        b"localhost/",
        b"localhost\x00",
        b"localhost ",
        b"\xff",
    ],
)
def test_every_other_host_is_refused(host: bytes) -> None:
    refusal = NAMED.refusal({b"host": host})
    assert refusal is not None
    assert refusal.status == 403
    assert msgspec.json.decode(refusal.body)["type"] == "urn:moorline:problem:not-for-browsers"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({b"origin": b"http://localhost:7070"}, id="origin"),
        pytest.param({b"origin": b"null"}, id="opaque origin"),
        pytest.param({b"sec-fetch-site": b"same-origin"}, id="sec-fetch-site"),
        pytest.param({b"sec-fetch-site": b""}, id="empty sec-fetch-site"),
    ],
)
def test_a_browser_is_refused_whatever_its_host(headers: dict[bytes, bytes]) -> None:
    refusal = OPEN.refusal({b"host": b"localhost", **headers})
    assert refusal is not None
    assert refusal.status == 403


def test_a_request_without_host_is_no_browser() -> None:
    assert OPEN.refusal({}) is None


@pytest.mark.parametrize(
    ("authorization", "is_let_in"),
    [
        (b"Bearer s3cret", True),
        (b"bearer s3cret", True),
        (b"BEARER  s3cret ", True),
        (b"Bearer s3cre", False),
        (b"Bearer s3crets", False),
        (b"Bearer", False),
        (b"Bearer ", False),
        (b"Basic s3cret", False),
        (b"s3cret", False),
        (b"Bearer \xff", False),
        (None, False),
    ],
)
def test_a_token_lets_in(authorization: bytes | None, *, is_let_in: bool) -> None:
    headers = {b"host": b"localhost"}
    if authorization is not None:
        headers[b"authorization"] = authorization
    refusal = Gate(token=lambda: b"s3cret").refusal(headers)
    assert (refusal is None) is is_let_in
    if refusal is not None:
        assert refusal.status == 401
        assert b'WWW-Authenticate: Bearer realm="moorline"\r\n' in refusal.fields
        assert b"s3c" not in refusal.body


@pytest.mark.parametrize("authorization", [b"Bearer ", b"Bearer x"])
def test_a_token_that_cannot_be_read_lets_nobody_in(authorization: bytes) -> None:
    gate = Gate(token=lambda: b"")
    assert gate.refusal({b"host": b"localhost", b"authorization": authorization}) is not None


def test_a_new_token_counts_at_once() -> None:
    tokens = [b"new", b"old"]
    gate = Gate(token=tokens.pop)
    headers = {b"authorization": b"Bearer old"}
    assert gate.refusal(headers) is None
    assert gate.refusal(headers) is not None


def test_browsers_are_told_so_before_tokens_are_looked_at() -> None:
    refusal = Gate(token=lambda: b"s3cret").refusal({b"origin": b"null"})
    assert refusal is not None
    assert refusal.status == 403


@given(st.binary(max_size=60))
def test_no_header_is_too_strange_to_be_decided(raw: bytes) -> None:
    gate = Gate(["a.b"], token=lambda: b"s3cret")
    for headers in ({b"host": raw}, {b"authorization": raw}, {b"authorization": b"Bearer " + raw}):
        gate.refusal(headers)


def test_spellings_of_accepted_hosts_do_not_add_up() -> None:
    for port in range(10_000):
        assert OPEN.refusal({b"host": b"localhost:%d" % port}) is None
    assert OPEN.remembered_hosts <= 64
