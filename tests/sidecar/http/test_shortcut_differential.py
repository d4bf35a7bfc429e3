"""Many requests, plain and hostile, to two sidecars of which one has the shortcut: same bytes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final, TypeAlias

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from moorline_api import HintPlacement
from moorline_sidecar.domain.cookies import CookiePolicy, Cookies
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.http.by_cookie import ByCookie
from moorline_sidecar.sessions.clock import ManualClock
from msgspec import structs

from tests.sidecar.http.hostile import END, FIELDS, REQUEST_LINES
from tests.sidecar.http.twins import NAMES, SHORT, Twin

Event: TypeAlias = Callable[[Twin], object]

POLICY: Final = Policy(worker="n1", max_idle_ms=60_000, max_age_ms=400_000, touch_period_ms=5_000)
HINT: Final = b"Moorline-Hint: 1.n1"
COOKIE_LINE: Final = b"GET /v1/session HTTP/1.1"
PLAIN: Final = b"GET /v1/sessions/%b HTTP/1.1\r\nHost: localhost\r\nMoorline-Hint: 1.n1\r\n\r\n"

BY_COOKIE: Final = (
    COOKIE_LINE + b"\r\nHost: localhost\r\nCookie: a=b; SESSION=%b; SESSION_at=1.n1\r\n\r\n"
)

ids = st.sampled_from([*(name.encode() for name in NAMES), SHORT.encode(), b"Z" * 32, b"Z" * 31])
suffixes = st.sampled_from(
    [
        *3 * [b""],
        *2 * [b".n2"],
        b".n1",
        b".a.b",
        b".",
        b"%2En2",
        b"?touch=false",
        b"?a",
        b"/",
        b"#a",
        b"/touch",
        b"x",
        b"%41",
    ]
)
methods = st.sampled_from([b"GET", b"GET", b"GET", b"GET", b"HEAD", b"POST", b"PATCH", b"get"])
versions = st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0", b"2.0"])

plain_fields = st.sampled_from(
    [
        HINT,
        HINT,
        HINT,
        b"moorline-hint:1.n1",
        b"Moorline-Hint: 1.n1 ",
        b"Moorline-Hint: 2.n1",
        b"Moorline-Hint: 1.n2",
        b"Moorline-Hint: 01.n1",
        b"Moorline-Hint: 1",
        b"Moorline-Context: /",
        b"Moorline-Context: /shop",
        b"Moorline-Context: \xff",
        b"Accept: */*",
        b"Connection: keep-alive",
        b"Connection: close",
        b"Content-Length: 0",
        b"Content-Length: 2\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n0",
        b"Expect: 100-continue",
        b"If-None-Match: *",
        b"If-None-Match: W/",
        b"Origin: null",
        b"Host: localhost",
        b"Host: example.com",
        b"Authorization: Bearer secret",
        b"Connection: Upgrade\r\nUpgrade: h2c",
        b"Upgrade: websocket",
        b"Cookie: a=b",
        b"Moorline-Session: " + NAMES[1].encode(),
    ]
)
cookie_names = st.sampled_from(
    [*6 * [b"Cookie: "], b"cookie: ", b"Cookie:", b"COOKIE: ", b"Cookie:\t"]
)
marks = st.sampled_from([*4 * [b""], *4 * [b".n2"], b".n1", b".n3.n1", b" ", b'"', b"%41", b"\xe9"])
hints = st.sampled_from([b"1.n1", b"1.n1", b"2.n1", b"1.n2", b"0.n1", b"x", b""])
other_cookies = st.sampled_from(
    [
        b"a=b",
        b"",
        b"_ga=GA1.2",
        b"SESSION=x",
        b"X-SESSION=" + b"A" * 32,
        b"t=\t",
        b"e=\xe9",
        b"\0",
        b"a=b\r\nCookie: SESSION=" + NAMES[1].encode(),
        b"a=b\r\nX: y",
        b"a=b\r\n c",
        b"a=b\nX: y",
        b"a=" + 9_000 * b"b",
    ]
)


@st.composite
def cookies(draw: st.DrawFn) -> bytes:
    """A field; mostly of one session and with a hint, and sometimes of no browser's making."""
    kept = [b"SESSION=%b%b" % (draw(ids), draw(marks))]
    kept += [b"SESSION_at=%b" % draw(hints)] * draw(st.sampled_from([0, 1, 1, 1, 1, 2]))
    match draw(st.integers(0, 7)):
        case 0:
            kept.append(b"SESSION=%b" % draw(ids))
        case 1 | 2 | 3:
            kept.insert(draw(st.integers(0, len(kept))), draw(other_cookies))
    return draw(cookie_names) + b"; ".join(kept)


fields = plain_fields | st.sampled_from(list(FIELDS.values()))


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Mostly a plain one, else one with something else in it; sometimes no request at all."""
    kind = draw(st.integers(0, 9))
    if kind < 3:
        return PLAIN % draw(ids)
    if kind == 3:
        return BY_COOKIE % draw(ids)
    if kind == 4:
        return draw(st.sampled_from(list(REQUEST_LINES.values())))
    if kind < 7:
        more = draw(st.lists(fields, max_size=2)) if draw(st.integers(0, 2)) == 0 else []
        lines = [COOKIE_LINE, b"Host: localhost", draw(cookies()), *more]
        return b"\r\n".join(lines) + END
    line = b"%b /v1/sessions/%b%b HTTP/%b" % (
        draw(methods),
        draw(ids),
        draw(suffixes),
        draw(versions),
    )
    lines = [line, b"Host: localhost", *draw(st.lists(fields, max_size=3))]
    return b"\r\n".join(lines) + END


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    """Some requests, each often enough to be known, as they come from the network."""
    whole = [draw(requests())] * draw(st.sampled_from([1, 3, 4]))
    match draw(st.integers(0, 5)):
        case 0:
            data = b"".join(whole)
            cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
            edges = [0, *cuts, len(data)]
            return [data[a:b] for a, b in itertools.pairwise(edges) if a < b]
        case 1:
            return [b"".join(whole)]
        case _:
            return whole


def change(name: str) -> bytes:
    head = b"PATCH /v1/sessions/%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 17\r\n\r\n"
    return head % name.encode() + b'{"set":{"n":123}}'


def outdated(twin: Twin) -> None:
    entry = twin.entry(NAMES[0])
    if entry is not None:
        entry.outdate(entry.stored.version + 1, twin.clock.monotonic())


def away(twin: Twin) -> None:
    twin.sessions.core.standing.is_down ^= True


def token(twin: Twin) -> None:
    twin.token = None if twin.token else b"secret"


def streams_again(twin: Twin) -> None:
    """The stream breaks, and the next one vouches for nothing that was before."""
    twin.sessions.core.coverage.begin(twin.clock.monotonic())
    twin.vouch()


def follows(twin: Twin) -> None:
    """Another touch period."""
    before = twin.sessions.core.policy
    twin.sessions.follow(structs.replace(before, touch_period_ms=before.touch_period_ms + 1_000))


def writes_other_cookies(twin: Twin) -> None:
    policy = CookiePolicy(path="/shop", hint=HintPlacement.SUFFIX)
    twin.api.follow(ByCookie(twin.sessions, Cookies(policy)), "/")


EVENTS: Final[tuple[Event, ...]] = (
    *6 * [Twin.vouch],
    outdated,
    away,
    token,
    streams_again,
    follows,
    writes_other_cookies,
    lambda twin: twin.api.follow(twin.by_cookie, "/shop"),
    lambda twin: twin.say(change(NAMES[0])),
    lambda twin: twin.say(b"DELETE /v1/sessions/%b HTTP/1.1\r\nHost: ::1%b" % (b"E" * 32, END)),
)

steps = st.lists(
    st.one_of(pieces(), pieces(), pieces(), st.integers(1, 2_000), st.sampled_from(EVENTS)),
    min_size=5,
    max_size=25,
)


async def compare(
    play: list[list[bytes] | int | Event], *, is_guarded: bool, hint: HintPlacement
) -> None:
    clock = ManualClock()
    policy = CookiePolicy(max_age_s=60, refresh_age_ms=3_000, hint=hint)
    quick, plain = (
        Twin(clock, POLICY, is_quick=is_quick, is_guarded=is_guarded, cookies=policy)
        for is_quick in (True, False)
    )
    warming = [[PLAIN % name.encode()] for name in NAMES for _ in range(3)]
    warming += [[BY_COOKIE % name.encode()] for name in NAMES]
    for twin in (quick, plain):
        await twin.begin()
    for step in [*warming, *play]:
        clock.advance(1)
        if isinstance(step, int):
            clock.advance(step)
            continue
        answers = [await _played(twin, step) for twin in (quick, plain)]
        assert answers[0] == answers[1]
        assert quick.state() == plain.state()


async def _played(twin: Twin, step: list[bytes] | Event) -> object:
    if isinstance(step, list):
        answer = await twin.say(*step)
        twin.reconnect()
        return answer
    done = step(twin)
    return await done if asyncio.iscoroutine(done) else None


@settings(max_examples=60, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(play=steps, is_guarded=st.booleans(), hint=st.sampled_from(HintPlacement))
def test_both_answer_with_the_same_bytes_and_are_left_in_the_same_state(
    *, play: list[list[bytes] | int | Event], is_guarded: bool, hint: HintPlacement
) -> None:
    asyncio.run(compare(play, is_guarded=is_guarded, hint=hint))
