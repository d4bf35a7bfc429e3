"""What a well-behaved client gets from the data plane."""

import pytest

from tests.sidecar.http.echo import Echo, chunked, eventually, request, serving
from tests.sidecar.http.raw_client import Answer, connected


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with serving() as plane, connected(plane.port) as client:
        for number in range(3):
            answer = await client.ask(request(f"/{number}?a=b"))
            assert answer.status == 200
            assert answer.members["path"] == f"/{number}"
            assert answer.members["query"] == "a=b"
            assert not answer.closes
        assert plane.traffic.accepted == 1


async def test_the_application_sees_names_in_lower_case_and_values_as_they_are() -> None:
    async with serving() as plane, connected(plane.port) as client:
        answer = await client.ask(request("/", "X-Odd:  \tcaf\xe9 \t", "Empty:", "Next: 1"))
        assert answer.members["headers"] == {
            "host": "localhost",
            "x-odd": "caf\xe9",
            "empty": "",
            "next": "1",
        }


async def test_repeated_fields_are_joined() -> None:
    async with serving() as plane, connected(plane.port) as client:
        answer = await client.ask(
            request("/", "Cookie: a=1", "Accept: x", "cookie: b=2", "Accept: y")
        )
        assert answer.members["headers"]["cookie"] == "a=1; b=2"
        assert answer.members["headers"]["accept"] == "x, y"


@pytest.mark.parametrize("body", [b"x", b"", bytes(range(256)) * 1000], ids=len)
async def test_a_body_arrives_whole(body: bytes) -> None:
    async with serving() as plane, connected(plane.port) as client:
        answer = await client.ask(
            request("/", "Content-Length: 0", method="POST")
            if not body
            else request("/", method="POST", body=body)
        )
        assert answer.members["body"].encode("latin-1") == body


async def test_a_chunked_body_arrives_whole_and_its_trailers_do_not() -> None:
    async with serving() as plane, connected(plane.port) as client:
        end = b"0;last\r\nHost: elsewhere\r\nX-Trailer: 1\r\n\r\n"
        answer = await client.ask(chunked("/", b"one ", b"two", end=end))
        assert answer.members["body"] == "one two"
        assert answer.members["headers"]["host"] == "localhost"
        assert "x-trailer" not in answer.members["headers"]
        assert (await client.ask(request("/next"))).status == 200


async def test_head_gets_the_length_and_no_body() -> None:
    async with serving() as plane, connected(plane.port) as client:
        head = await client.ask(request("/a", method="HEAD"))
        get = await client.ask(request("/a", method="GET"))
        # The method itself is told in the body, and is one letter longer.
        assert int(head.headers["content-length"]) == len(get.body) + 1
        assert head.body == b""


@pytest.mark.parametrize(("target", "status"), [("/empty", 204), ("/same", 304)])
async def test_what_has_no_body_has_no_length(target: str, status: int) -> None:
    async with serving() as plane, connected(plane.port) as client:
        answer = await client.ask(request(target))
        assert (answer.status, answer.headers) == (status, {"etag": "x"})
        assert (await client.ask(request("/next"))).status == 200


@pytest.mark.parametrize(
    ("head", "connection"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close", "close", id="1.1 close"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Foo, CLOSE", "close", id="among others"
        ),
        pytest.param(b"GET / HTTP/1.0\r\nHost: x", "close", id="1.0"),
        pytest.param(b"GET / HTTP/1.0", "close", id="1.0 without Host"),
        pytest.param(
            b"GET / HTTP/1.0\r\nConnection: keep-alive", "keep-alive", id="1.0 keep-alive"
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive", None, id="1.1 keep-alive"
        ),
    ],
)
async def test_the_client_says_whether_the_connection_stays(
    head: bytes, connection: str | None
) -> None:
    async with serving() as plane, connected(plane.port) as client:
        answer = await client.ask(head + b"\r\n\r\n")
        assert answer.status == 200
        assert answer.headers.get("connection") == connection
        if answer.closes:
            assert await client.is_closed()
        else:
            assert (await client.ask(request("/next"))).status == 200


async def ask_in_two_steps(
    port: int, target: str, *fields: str, version: str = "1.1"
) -> list[Answer]:
    """The answers to a head that expects 100-continue, and to its body."""
    async with connected(port) as client:
        head = request(target, "Content-Length: 3", "Expect: 100-Continue", *fields, method="PUT")
        await client.send(head.replace(b"HTTP/1.1", b"HTTP/" + version.encode()))
        answers = [await client.answer()] if version == "1.1" else []
        if not answers or answers[0].status == 100:
            await client.send(b"abc")
            answers.append(await client.answer())
        return answers


async def test_who_expects_to_continue_is_told_to_before_sending_the_body() -> None:
    async with serving() as plane:
        interim, answer = await ask_in_two_steps(plane.port, "/")
        assert (interim.status, interim.headers) == (100, {})
        assert answer.members["body"] == "abc"


async def test_who_is_not_wanted_is_told_instead_of_to_continue() -> None:
    async with serving() as plane:
        [answer] = await ask_in_two_steps(plane.port, "/unwanted")
        assert answer.problem == "session-unknown"
        assert answer.closes


async def test_nobody_who_speaks_http_1_0_is_told_to_continue() -> None:
    async with serving() as plane:
        [answer] = await ask_in_two_steps(plane.port, "/", version="1.0")
        assert answer.members["body"] == "abc"


async def test_to_continue_is_told_even_if_the_body_has_come() -> None:
    async with serving() as plane, connected(plane.port) as client:
        await client.send(request("/", "Expect: 100-continue", method="PUT", body=b"abc"))
        assert [(await client.answer()).status for _ in range(2)] == [100, 200]


async def test_an_unknown_expectation_is_passed_over() -> None:
    async with serving() as plane, connected(plane.port) as client:
        answer = await client.ask(request("/", "Expect: miracles", method="PUT", body=b"abc"))
        assert answer.status == 200


async def test_a_half_closed_client_gets_its_answers() -> None:
    application = Echo()
    async with serving(application) as plane, connected(plane.port) as client:
        await client.send(request("/gated") + request("/now"))
        client.finish()
        await eventually(lambda: len(application.requests) == 1)
        application.gate.set()
        assert (await client.answer()).members["path"] == "/gated"
        assert (await client.answer()).members["path"] == "/now"
        assert await client.is_closed()


async def test_a_client_that_closes_in_the_middle_of_a_request_is_forgotten() -> None:
    application = Echo()
    async with serving(application) as plane, connected(plane.port) as client:
        await client.send(request("/", method="POST", body=b"abc")[:-1])
        client.finish()
        assert await client.is_closed()
        await eventually(lambda: plane.connections == 0)
        assert application.requests == []


@pytest.mark.parametrize("body", [b"", b"abc"], ids=["no body", "body"])
async def test_an_offer_of_http_2_is_passed_over_as_java_and_curl_expect(body: bytes) -> None:
    offer = "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAA"
    async with serving() as plane, connected(plane.port) as client:
        asked = request("/a?b=c", *offer, method="PUT", body=body)
        await client.send(asked + request("/next"))
        answer = await client.answer()
        assert answer.members["body"].encode() == body
        assert (answer.members["path"], answer.members["query"]) == ("/a", "b=c")
        assert "upgrade" not in answer.members["headers"]
        assert (await client.answer()).members["path"] == "/next"


async def test_traffic_is_counted() -> None:
    async with serving() as plane, connected(plane.port) as client:
        asked = request("/") + request("/empty") + b"\x00"
        await client.send(asked)
        received = await client.rest()
        traffic = plane.traffic
        assert traffic.flow.received == len(asked)
        assert traffic.flow.sent == len(received)
        assert traffic.answers == [0, 0, 2, 0, 1, 0]
        assert traffic.refused == 1
