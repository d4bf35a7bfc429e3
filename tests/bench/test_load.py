import select
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.clients.connection import Connection, WrongAnswer, tls_address
from bench.shots import Shot, hint_header, read_shots, write_shots
from e2e.cluster.authority import Authority

ID = "a" * 32
BODY = b'{"id":"%s"}' % ID.encode()
SHOT = Shot(f"/v1/sessions/{ID}", len(BODY), ID, hint_header("1.node1"))
CHANGE = Shot("/v1/sessions/x", 0, None, ("Cookie: a=b; c=d", "X: y"), "PATCH", '{"set": {"ä": 1}}')


def test_requests_are_read_from_the_file_as_they_were_written(tmp_path: Path) -> None:
    file = write_shots(tmp_path / "shots.tsv", [SHOT, CHANGE])

    assert read_shots(file) == [SHOT, CHANGE]


def test_a_request_goes_over_the_wire_with_its_length_in_bytes() -> None:
    head, _, body = CHANGE.request().partition(b"\r\n\r\n")

    assert body == '{"set": {"ä": 1}}'.encode()
    assert b"\r\nContent-Length: 18" in head
    assert b"\r\nCookie: a=b; c=d\r\n" in head


def answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d Some\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Connection, socket.socket]:
    path = str(tmp_path / "bench.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        connection = Connection(path, 200)
        return connection, listener.accept()[0]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(answer(404, BODY), id="another status"),
        pytest.param(answer(200, BODY.replace(b"a", b"b")), id="another session"),
        pytest.param(answer(200, BODY + b" "), id="another length"),
        pytest.param(answer(200, b""), id="nothing"),
    ],
)
def test_a_client_refuses_a_wrong_answer(
    pair: tuple[Connection, socket.socket], wrong: bytes
) -> None:
    connection, server = pair
    with connection.socket, server:
        connection.send(SHOT, SHOT.request())
        server.sendall(wrong)

        with pytest.raises(WrongAnswer):
            connection.receive()


def test_a_client_waits_for_the_whole_answer(pair: tuple[Connection, socket.socket]) -> None:
    connection, server = pair
    with connection.socket, server:
        connection.send(SHOT, SHOT.request())
        assert server.recv(1_000) == SHOT.request()

        whole = answer(200, BODY)
        for part, is_whole in ((whole[:20], False), (whole[20:-3], False), (whole[-3:], True)):
            server.sendall(part)
            assert connection.receive() is is_whole
        assert not connection.is_busy


def test_over_tls_a_client_takes_what_is_its_own_and_waits_for_the_rest(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server("server", ("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    whole = answer(200, BODY)

    def serve(listener: socket.socket) -> bytes:
        with context.wrap_socket(listener.accept()[0], server_side=True) as server:
            asked = server.recv(1_000)
            server.sendall(whole[:20])
            server.sendall(whole[20:])
            return asked

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve, listener)
        port = listener.getsockname()[1]
        connection = Connection(tls_address(port, "localhost", authority.files.certificate), 200)
        with connection.socket:
            connection.send(SHOT, SHOT.request())
            while not connection.receive():
                select.select([connection], [], [], 5)
        assert serving.result() == SHOT.request()
