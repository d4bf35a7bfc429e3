"""The load generator against servers that answer right, and each of which is wrong in one way."""

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from bench.errors import ToolMissing
from bench.generator import generator
from bench.load import ANY, Work
from bench.shots import Shot, hint_header, write_shots

ID, OTHER = "a" * 32, "b" * 32
Answer = Callable[[bytes], Sequence[bytes]]
"""The pieces in which a request is answered; an empty one closes the connection."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return generator(tmp_path_factory.mktemp("generator"))
    except ToolMissing as missing:
        pytest.skip(str(missing))


def body_of(session_id: str, size: int = 100) -> bytes:
    return (b'{"id":"%s","note":"' % session_id.encode()).ljust(size - 2, b"x") + b'"}'


def shot(session_id: str = ID, length: int = 100) -> Shot:
    return Shot(f"/v1/sessions/{session_id}", length, session_id, hint_header("1.node1"))


CHANGE = Shot(f"/v1/sessions/{ID}", 0, None, ("Cookie: a=b; c=d", "X: y"), "PATCH", '{"ä": 1}')


def http(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d Some\r\nContent-Type: a/b\r\ncontent-length: %d\r\n\r\n%s" % (
        status, len(body), body,
    )  # fmt: skip


NO_CONTENT = b"HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n"


def redis(body: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(body), body)


class Server:
    """Answers each request, which comes whole, and keeps it."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.requests: list[bytes] = []

    def serve(self) -> None:
        threads = []
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threads.append(threading.Thread(target=self._serve, args=(connection,)))
                threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while request := connection.recv(65_536):
                self.requests.append(request)
                for piece in self._answer(request):
                    if not piece:
                        return
                    connection.sendall(piece)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    server = Server(answer)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10)


@pytest.fixture
def load(program: Path, tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    def run(  # noqa: PLR0913 the arguments of the program
        server: Server, shots: Sequence[Shot], how: object = "each", *,
        status: int = 200, protocol: str = "http", connections: int = 2, seed: int = 1,
    ) -> "subprocess.CompletedProcess[str]":  # fmt: skip
        file = write_shots(tmp_path / "shots.tsv", shots)
        options = [server.port, file, connections, status, seed, how]
        command = [str(program), protocol, *map(str, options)]
        return subprocess.run(command, capture_output=True, check=False, text=True, timeout=30)

    return run


Load = Callable[..., "subprocess.CompletedProcess[str]"]


def work_of(done: "subprocess.CompletedProcess[str]") -> Work:
    assert (done.returncode, done.stderr) == (0, "")
    return msgspec.json.decode(done.stdout, type=Work)


def test_without_a_compiler_its_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolMissing, match="apt install gcc libc6-dev"):
        generator(tmp_path)


def test_requests_go_over_the_wire_as_every_client_of_the_benchmark_sends_them(load: Load) -> None:
    shots = [shot(), CHANGE, shot()]

    def answer(request: bytes) -> list[bytes]:
        return [NO_CONTENT if request.startswith(b"PATCH") else http(body_of(ID))]

    with serving(answer) as server:
        work = work_of(load(server, shots, status=ANY, connections=1))

    assert server.requests == [each.request() for each in shots]
    assert work.requests == len(shots)


def test_each_request_is_sent_once_over_any_number_of_connections(load: Load) -> None:
    shots = [shot(f"{number:032d}") for number in range(200)]

    def answer(request: bytes) -> list[bytes]:
        return [http(body_of(request.split(b" ")[1].rpartition(b"/")[2].decode()))]

    with serving(answer) as server:
        work = work_of(load(server, shots, connections=7))

    assert work.requests == len(shots)
    assert sorted(server.requests) == sorted(each.request() for each in shots)


def test_requests_are_drawn_for_a_time_and_alike_with_the_same_seed(load: Load) -> None:
    shots = [shot(length=100 + number) for number in range(10)]
    for number, each in enumerate(shots):
        shots[number] = Shot(f"/{number}", each.length, ID)

    def answer(request: bytes) -> list[bytes]:
        return [http(body_of(ID, 100 + int(request[5:6])))]

    asked = []
    for seed in (5, 5, 6):
        with serving(answer) as server:
            work = work_of(load(server, shots, 0.3, connections=1, seed=seed))
        assert work.requests == len(server.requests)
        assert 0.3 <= work.seconds < 5
        asked.append(server.requests[:50])

    assert asked[0] == asked[1] != asked[2]
    assert set(asked[0]) == {each.request() for each in shots}


def test_latencies_are_those_of_the_requests(load: Load) -> None:
    def answer(request: bytes) -> list[bytes]:
        time.sleep(0.2 if b"slow" in request else 0.02)
        return [http(body_of(ID))]

    shots = [Shot("/quick", 100, ID)] * 49 + [Shot("/slow", 100, ID)]
    with serving(answer) as server:
        work = work_of(load(server, shots, connections=1))

    assert 20_000 <= work.p50_us < 150_000
    assert 199_000 <= work.p99_us < 2_000_000


@pytest.mark.parametrize("size", [100, 16_300, 16_384, 900_000])
@pytest.mark.parametrize(
    ("protocol", "framed"), [pytest.param("http", http), pytest.param("redis", redis)]
)
def test_bodies_of_any_size_are_taken(
    load: Load, protocol: str, framed: Callable[[bytes], bytes], size: int
) -> None:
    with serving(lambda _: [framed(body_of(ID, size))]) as server:
        work = work_of(load(server, [shot(length=size)] * 20, protocol=protocol))

    assert work.requests == 20


@pytest.mark.parametrize(
    ("protocol", "framed"), [pytest.param("http", http), pytest.param("redis", redis)]
)
def test_an_answer_in_pieces_of_one_byte_is_one_answer(
    load: Load, protocol: str, framed: Callable[[bytes], bytes]
) -> None:
    whole = framed(body_of(ID))

    def answer(_: bytes) -> list[bytes]:
        return [whole[at : at + 1] for at in range(len(whole))]

    with serving(answer) as server:
        assert work_of(load(server, [shot()] * 3, protocol=protocol)).requests == 3


def test_a_key_is_asked_for_in_the_protocol_of_redis(load: Load) -> None:
    with serving(lambda _: [redis(body_of(ID))]) as server:
        work_of(load(server, [Shot("session:7", 100, ID)], protocol="redis", connections=1))

    assert server.requests == [b"*2\r\n$3\r\nGET\r\n$9\r\nsession:7\r\n"]


RIGHT = http(body_of(ID))


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        pytest.param([http(body_of(OTHER))], "wrong answer", id="another session"),
        pytest.param([http(body_of(ID + "c"))], "wrong answer", id="a longer id"),
        pytest.param([http(b"x" * 100)], "wrong answer", id="no session"),
        pytest.param([http(body_of(ID, 101))], "wrong answer", id="a byte more"),
        pytest.param([http(body_of(ID, 99))], "wrong answer", id="a byte less"),
        pytest.param([http(b"")], "wrong answer", id="nothing"),
        pytest.param([http(body_of(ID), 404)], "wrong answer", id="another status"),
        pytest.param([NO_CONTENT], "wrong answer", id="no content"),
        pytest.param([RIGHT[:-5], b""], "was closed", id="closed in the middle"),
        pytest.param([RIGHT[:20], b""], "was closed", id="closed in the head"),
        pytest.param([RIGHT, b""], "was closed", id="closed after an answer"),
        pytest.param([b""], "was closed", id="closed at once"),
        pytest.param([RIGHT * 2], "more than one answer", id="two answers"),
        pytest.param([RIGHT.replace(b"content-length", b"x")], "no Content-Length", id="no length"),
        pytest.param([b"oh\r\n\r\n"], "no HTTP", id="another protocol"),
        pytest.param([b"HTTP/1.1 200 " + b"x" * 20_000], "without an end", id="an endless head"),
    ],
)
def test_one_wrong_answer_among_right_ones_ends_the_load(
    load: Load, pieces: Sequence[bytes], why: str
) -> None:
    def answer(_: bytes) -> Sequence[bytes]:
        return pieces if len(server.requests) == 5 else [RIGHT]

    with serving(answer) as server:
        done = load(server, [shot()] * 20, connections=1)

    assert done.returncode == 1
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


@pytest.mark.parametrize(
    ("value", "why"),
    [
        pytest.param(b"$-1\r\n", "no value", id="nil"),
        pytest.param(b"-ERR unknown command\r\n", "no value", id="an error"),
        pytest.param(redis(body_of(OTHER)), "wrong answer", id="another session"),
        pytest.param(redis(body_of(ID, 101)), "wrong answer", id="a byte more"),
        pytest.param(redis(body_of(ID, 99)), "wrong answer", id="a byte less"),
        pytest.param(redis(body_of(ID)) * 2, "more than one answer", id="two answers"),
    ],
)
def test_one_wrong_value_of_redis_ends_the_load(load: Load, value: bytes, why: str) -> None:
    def answer(_: bytes) -> Sequence[bytes]:
        return [value if len(server.requests) == 5 else redis(body_of(ID))]

    with serving(answer) as server:
        done = load(server, [shot()] * 20, connections=1, protocol="redis")

    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr


@pytest.mark.parametrize(
    ("asked", "answer", "is_right"),
    [
        pytest.param(shot(), http(body_of(ID, 108)), True, id="a longer version"),
        pytest.param(shot(), http(body_of(ID, 109)), False, id="more than a longer version"),
        pytest.param(shot(), http(body_of(ID, 99)), False, id="a shorter one"),
        pytest.param(shot(), http(body_of(OTHER)), False, id="another session"),
        pytest.param(shot(), NO_CONTENT, False, id="a read without content"),
        pytest.param(CHANGE, NO_CONTENT, True, id="a change"),
        pytest.param(CHANGE, http(b"", 200), False, id="a change answered as a read"),
        pytest.param(CHANGE, http(b"", 409), False, id="a change that was refused"),
    ],
)
def test_among_reads_and_changes_each_has_its_own_right_answer(
    load: Load, asked: Shot, answer: bytes, *, is_right: bool
) -> None:
    with serving(lambda _: [answer]) as server:
        done = load(server, [asked], status=ANY)

    assert (done.returncode == 0) is is_right


def test_an_answer_that_does_not_come_ends_the_load(load: Load) -> None:
    with serving(lambda _: []) as server:
        done = load(server, [shot()], 0.1)

    assert done.returncode == 1
    assert "no whole answer in 10 s" in done.stderr


def test_a_server_that_is_not_there_is_said(load: Load) -> None:
    with serving(lambda _: []) as server:
        pass

    assert "refused" in load(server, [shot()]).stderr
