"""Hits by cookie are answered as the reader and the API answer them, without being parsed."""

import pytest
from moorline_api import HintPlacement
from moorline_sidecar.domain.cookies import CookiePolicy, Cookies
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.sessions.clock import ManualClock

from tests.sidecar.http.twins import COOKIES, NAMES, SHORT, Twin

ADA, BOB, _ = NAMES
POLICY = Policy(worker="n1")
LINE = "GET /v1/session HTTP/1.1"
AT = "SESSION_at=1.n1"
"""What the browser has been told by the last answer."""


def get(cookie: str, *fields: str, line: str = LINE, name: str = "Cookie") -> bytes:
    lines = [line, "Host: localhost", f"{name}: {cookie}", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def of(session_id: str, *more: str) -> str:
    return "; ".join([f"SESSION={session_id}", AT, *more])


USUAL = get(of(ADA))


async def twins(cookies: CookiePolicy = COOKIES, request: bytes = USUAL) -> tuple[Twin, Twin]:
    """With and without the shortcut, on one clock, after three hits of a browser on one."""
    clock = ManualClock()
    both = tuple(
        Twin(clock, POLICY, is_quick=is_quick, cookies=cookies) for is_quick in (True, False)
    )
    for twin in both:
        await twin.begin()
    clock.advance(1)
    for twin in both:
        for _ in range(3):
            assert b"Moorline-Cache: hit" in await twin.say(request)
    assert both[0].quick_answers == 1
    both[0].count_anew()
    return both[0], both[1]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(get(of(ADA)), id="the same again"),
        pytest.param(get(of(BOB)), id="another session"),
        pytest.param(get(of(SHORT)), id="an id of another length"),
        pytest.param(get(of(ADA + ".n2")), id="a suffix"),
        pytest.param(get(of(f'"{ADA}"')), id="quotes"),
        pytest.param(get(f"a=b; SESSION={ADA};{AT} ;_ga=GA1.2"), id="among others"),
        pytest.param(get(f"SESSION={ADA}; SESSION={ADA}; {AT}"), id="the same one twice"),
        pytest.param(get(f"SESSION={ADA}; SESSION_at=1.n2"), id="a hint of another worker"),
        pytest.param(get(f"SESSION={ADA}; SESSION_at=0.n1"), id="an older hint"),
        pytest.param(get(f"SESSION={ADA}.n2"), id="a suffix for a hint"),
        pytest.param(get(of(ADA, "a=" + 4_000 * "b")), id="many cookies"),
        pytest.param(get(of(ADA), name="cookie"), id="in lower case"),
        pytest.param(get(of(ADA), "Accept: */*"), id="another client"),
        pytest.param(get(of(ADA), "Moorline-Context: /"), id="a context"),
        pytest.param(get(f"SESSION={ADA}", "Moorline-Hint: 1.n1"), id="a hint as a field"),
    ],
)
async def test_a_plain_request_is_answered_the_same_without_being_parsed(request_: bytes) -> None:
    quick, plain = await twins()

    for _ in range(3):
        assert await quick.say(request_) == await plain.say(request_)
        assert quick.state() == plain.state()
    assert quick.quick_answers in {1, 3}


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(get(of(ADA, f"SESSION={BOB}")), id="two sessions"),
        pytest.param(get(of("Z" * 32)), id="an unknown session"),
        pytest.param(get(of("Z")), id="no session"),
        pytest.param(get(f"SESSION={ADA}"), id="no hint"),
        pytest.param(get(f"SESSION={ADA}; SESSION_at=2.n1"), id="a newer hint"),
        pytest.param(get(of(ADA), "Moorline-Hint: 2.n1"), id="a newer hint as a field"),
        pytest.param(get(of(ADA), "Moorline-Context: /shop"), id="a context it does not have"),
        pytest.param(get(of(ADA), "Moorline-Session: " + BOB), id="another name"),
        pytest.param(get(of(ADA), f"Cookie: SESSION={BOB}"), id="two fields"),
        pytest.param(get(of(ADA), f"cookie: SESSION={BOB}"), id="another field in lower case"),
        pytest.param(get(of(ADA) + f"\r\n SESSION={BOB}"), id="a folded field"),
        pytest.param(get(of(ADA) + "\n"), id="a bare line feed"),
        pytest.param(get(of(ADA) + "\r"), id="a bare carriage return"),
        pytest.param(get(of(ADA) + "\0"), id="a zero"),
        pytest.param(get(of(ADA) + "\x7f"), id="a control character"),
        pytest.param(get(of(ADA, "\ta=b")), id="a tab"),
        pytest.param(get(of(ADA, "a=\xe9")), id="no ascii"),
        pytest.param(get(of(ADA, "a=" + 9_000 * "b")), id="too many cookies"),
        pytest.param(get(of(ADA), "X: " + 1100 * "x"), id="a long head"),
        pytest.param(get(of(ADA), name="COOKIE"), id="in capitals"),
        pytest.param(get("", name="X"), id="no cookies"),
        pytest.param(get(of(ADA), line="GET /v1/session?touch=false HTTP/1.1"), id="a query"),
        pytest.param(get(of(ADA), line="HEAD /v1/session HTTP/1.1"), id="head"),
        pytest.param(get(of(ADA), line="GET /v1/session HTTP/1.0"), id="an old version"),
        pytest.param(get(of(ADA), 'If-None-Match: "1"'), id="a condition"),
        pytest.param(get(of(ADA), "Traceparent: 00-x"), id="a trace"),
        pytest.param(get(of(ADA), "Origin: http://x"), id="a browser"),
        pytest.param(get(of(ADA), "Connection: close"), id="a last request"),
        pytest.param(get(of(ADA), "Content-Length: 2") + b"{}", id="a body"),
        pytest.param(
            get("", "Content-Length: 100", name="X") + get(of(ADA)), id="cookies in a body"
        ),
        pytest.param(2 * get(of(ADA)), id="two at once"),
        pytest.param(get(of(ADA)) + b"GET", id="one and a bit"),
        pytest.param(get(of(ADA))[:-2], id="not all of it"),
        pytest.param(get(of(ADA))[:-5], id="not all of the cookies"),
    ],
)
async def test_what_is_not_plain_is_left_to_the_reader(request_: bytes) -> None:
    quick, plain = await twins()

    for _ in range(4):
        assert await quick.say(request_) == await plain.say(request_)
        assert quick.state() == plain.state()
        for twin in (quick, plain):
            twin.reconnect()
    assert quick.quick_answers == 0


@pytest.mark.parametrize("placement", HintPlacement)
async def test_cookies_are_written_as_for_every_request(placement: HintPlacement) -> None:
    policy = CookiePolicy(hint=placement, max_age_s=60, refresh_age_ms=5_000)
    moved = get(f"SESSION={ADA}.n2; SESSION_at=1.n2", "Moorline-Hint: 1.n1")
    quick, plain = await twins(policy, moved)

    answers = []
    for _ in range(12):
        quick.clock.advance(1_000)
        for twin in (quick, plain):
            twin.vouch()
        answers.append(await quick.say(moved))
        assert answers[-1] == await plain.say(moved)
        assert quick.state() == plain.state()

    assert quick.quick_answers == 12
    written = [answer.count(b"Set-Cookie: SESSION=") for answer in answers]
    always, at_times = 12 * [1], [0, 0, 0, 0, 1] * 2 + [0, 0]
    assert written == (always if placement is HintPlacement.SUFFIX else at_times)
    hints = sum(answer.count(b"Set-Cookie: SESSION_at=1.n1;") for answer in answers)
    assert hints == (12 if placement is HintPlacement.SEPARATE else 0)


async def test_a_token_is_asked_for_by_each_request() -> None:
    twin = Twin(ManualClock(), POLICY, is_quick=True, is_guarded=True)
    await twin.begin()
    twin.clock.advance(1)
    twin.token = b"secret"
    for _ in range(3):
        assert b" 200 " in await twin.say(get(of(ADA), "Authorization: Bearer secret"))
    assert twin.quick_answers == 1

    twin.token = b"other"

    assert b" 401 " in await twin.say(get(of(ADA), "Authorization: Bearer secret"))


async def test_another_policy_of_cookies_is_followed() -> None:
    quick, plain = await twins()

    for twin in (quick, plain):
        other = Cookies(CookiePolicy(path="/shop", hint=HintPlacement.SUFFIX))
        twin.api.follow(ByCookie(twin.sessions, other), "/")

    request = get(of(ADA + ".n2"))
    for _ in range(3):
        answer = await quick.say(request)
        assert answer == await plain.say(request)
        assert b"Set-Cookie: SESSION=%b.n1; Path=/shop" % ADA.encode() in answer
    assert quick.quick_answers == 2
