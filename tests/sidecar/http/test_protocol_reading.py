"""From bytes to requests, without a socket: however they are cut, the same requests come out."""

import itertools
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.http.framing import CLOSE, STAY, STAY_1_0
from moorline_sidecar.http.heads import Refused
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.messages import Request
from moorline_sidecar.http.reading import Phase, RequestReader, slice_bytes

from tests.sidecar.http.echo import chunked, request


class Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.screened: list[tuple[bytes, bool]] = []
        self.requests: list[tuple[Request, bytes]] = []

    def screen(self, head: Request, *, expects_continue: bool) -> None:
        self.screened.append((head.path, expects_continue))

    def accept(self, request: Request, connection: bytes) -> None:
        self.requests.append((request, connection))


def read(pieces: Iterable[bytes], limits: Limits | None = None) -> Collected:
    """What a reader makes of these pieces, cut again where they are longer than a slice."""
    limits = limits or Limits()
    collected = Collected()
    reader = RequestReader(limits, collected)
    size = slice_bytes(limits)
    for piece in pieces:
        for start in range(0, len(piece), size):
            reader.feed(piece[start : start + size])
    return collected


def refusal(pieces: Iterable[bytes], limits: Limits) -> int:
    """The status that these pieces are refused with; 0 if they are not."""
    try:
        read(pieces, limits)
    except Refused as refused:
        return refused.answer.status
    return 0


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


tokens = st.text("abcXYZ019-_", min_size=1, max_size=12).map(lambda text: f"x{text}")
values = st.text('abc =;,"\t\x80\xff', max_size=20)
fields = st.lists(st.tuples(tokens, values).map(": ".join), max_size=6)
targets = st.text("abc/%20.?&=:", max_size=30).map(lambda text: f"/{text}")
offers = st.sampled_from([[], ["Connection: upgrade", "Upgrade: h2c"], ["Connection: keep-alive"]])


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A request that is as it should be."""
    lines = draw(fields) + draw(offers)
    target = draw(targets)
    kind = draw(st.sampled_from(["none", "length", "chunked"]))
    if kind == "chunked":
        chunks = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
        end = draw(st.sampled_from([b"0\r\n\r\n", b"00;a=b\r\nX-T: v\r\n\r\n"]))
        return chunked(target, *chunks, end=end)
    body = draw(st.binary(min_size=1, max_size=60)) if kind == "length" else b""
    method = draw(st.sampled_from(["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS"]))
    blank = draw(st.sampled_from([b"", b"\r\n"]))
    return blank + request(target, *lines, method=method, body=body)


@given(stream=st.lists(messages(), min_size=1, max_size=6), cuts=st.lists(st.integers(0, 2000)))
def test_requests_do_not_depend_on_how_their_bytes_are_cut(
    stream: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(stream)
    at_once = read([data])
    assert len(at_once.requests) == len(stream)
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    for cut in (pieces, one_by_one(data), stream):
        again = read(cut)
        assert again.requests == at_once.requests
        assert again.screened == at_once.screened


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)))
def test_any_bytes_give_requests_or_a_refusal(data: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert refusal([b"GET / HTTP/1.1\r\n", *pieces], Limits()) in {0, 400}


def padded(size: int) -> bytes:
    """A request whose head has so many bytes."""
    return request("/", "X: " + "v" * (size - len(request("/", "X: "))))


Cut = Callable[[bytes], list[bytes]]

CUTS = [
    pytest.param(lambda data: [data], id="at once"),
    pytest.param(lambda data: [data[:100], data[100:]], id="in two"),
    pytest.param(one_by_one, id="one by one"),
    pytest.param(lambda data: [request("/before") + data[:10], data[10:]], id="after another"),
]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("limit", [300, 32 * 1024])
def test_a_head_is_as_long_as_the_limit_at_most(cut: Cut, limit: int) -> None:
    limits = Limits(head_bytes=limit)
    assert refusal(cut(padded(limit)), limits) == 0
    assert refusal(cut(padded(limit + 1)), limits) == 431


@pytest.mark.parametrize("cut", CUTS)
def test_a_head_has_as_many_fields_as_the_limit_at_most(cut: Cut) -> None:
    # `Host` is one of them; fields of the same name are counted each.
    allowed = [f"X-{n % 7}: v" for n in range(99)]
    assert refusal(cut(request("/", *allowed)), Limits()) == 0
    assert refusal(cut(request("/", *allowed, "X-0: v")), Limits()) == 431


ENDLESS = [
    pytest.param(b"GET /", b"a", 431, id="target"),
    pytest.param(b"GET / HTTP/1.1\r\n", b"n", 431, id="name"),
    pytest.param(b"GET / HTTP/1.1\r\nX: ", b"v", 431, id="value"),
    pytest.param(b"GET / HTTP/1.1\r\nX: ", b" ", 431, id="spaces"),
    pytest.param(b"GET / HTTP/1.1\r\n", b"X: v\r\n", 431, id="repeated field"),
    pytest.param(chunked("/", end=b"1;"), b"e", 400, id="chunk extension"),
    pytest.param(chunked("/", end=b""), b"0", 400, id="zeros of a chunk size"),
    pytest.param(chunked("/", end=b"0\r\n"), b"X: v\r\n", 400, id="trailers"),
    pytest.param(chunked("/", end=b"0\r\nX: "), b"v", 400, id="value of a trailer"),
    pytest.param(chunked("/", end=b""), b"4\r\nbody\r\n", 413, id="chunks"),
    pytest.param(chunked("/", end=b""), b"1\r\nb\r\n", 413, id="small chunks"),
    pytest.param(chunked("/", end=b"FFFFFFFFFF\r\n"), b"b", 413, id="one chunk"),
]


@pytest.mark.parametrize(("start", "again", "status"), ENDLESS)
@pytest.mark.parametrize("size", [1, 1000, 50_000])
def test_what_does_not_end_is_refused(start: bytes, again: bytes, status: int, size: int) -> None:
    limits = Limits(body_bytes=100_000)
    data = again * (2_000_000 // len(again))
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    assert refusal([start, *pieces], limits) == status


def test_empty_lines_before_a_request_do_not_begin_one() -> None:
    reader = RequestReader(Limits(), Collected())
    for _ in range(100):
        reader.feed(b"\r\n\r\n")
    assert (reader.phase, reader.serial) == (Phase.IDLE, 0)
    reader.feed(b"G")
    assert (reader.phase, reader.serial) == (Phase.HEAD, 1)


@pytest.mark.parametrize(
    ("asked", "connection"),
    [
        pytest.param(request("/", "Connection: close"), CLOSE, id="close"),
        pytest.param(request("/"), STAY, id="stay"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", CLOSE, id="1.0"),
        pytest.param(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", STAY_1_0, id="stay 1.0"),
    ],
)
def test_each_request_tells_what_becomes_of_the_connection(asked: bytes, connection: bytes) -> None:
    [(_, found)] = read([asked]).requests
    assert found is connection


@pytest.mark.parametrize("announced_at", range(4))
def test_after_the_last_one_was_announced_the_connection_closes(announced_at: int) -> None:
    collected = Collected()
    reader = RequestReader(Limits(), collected)
    asked = request("/", method="PUT", body=b"abc")
    steps = [b"", asked[:10], asked[10:-1], asked[-1:]]
    for at, piece in enumerate(steps):
        if at == announced_at:
            reader.announce_last()
        reader.feed(piece)
    assert [connection for _, connection in collected.requests] == [CLOSE]


def test_a_body_is_screened_before_it_is_read() -> None:
    collected = Collected()
    reader = RequestReader(Limits(), collected)
    reader.feed(request("/a", "Expect: 100-continue", method="PUT", body=b"abc")[:-3])
    assert collected.screened == [(b"/a", True)]
    assert collected.requests == []
    reader.feed(b"abc" + request("/b"))
    assert [asked.body for asked, _ in collected.requests] == [b"abc", b""]
    assert collected.screened == [(b"/a", True)]
