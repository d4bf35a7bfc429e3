"""The shortcut answers what the reader and the API would have answered, or nothing."""

import pytest
from moorline_api import Eviction, Staleness
from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.http.limits import Limits
from moorline_sidecar.http.rests import RESTS_MAX
from moorline_sidecar.sessions.clock import ManualClock
from moorline_sidecar.sessions.coverage import LIVE_MS
from msgspec import structs

from tests.sidecar.http.twins import NAMES, SHORT, Twin

ADA, BOB, _ = NAMES
POLICY = Policy(worker="n1")
HINT = "Moorline-Hint: 1.n1"


def get(name: str, *fields: str, line: str = "GET /v1/sessions/{} HTTP/1.1") -> bytes:
    lines = [line.format(name), "Host: localhost", *fields]
    return "\r\n".join([*lines, "", ""]).encode()


async def warmed(policy: Policy = POLICY, *, is_guarded: bool = False) -> Twin:
    """One that has answered a plain hit by the shortcut."""
    twin = Twin(ManualClock(), policy, is_quick=True, is_guarded=is_guarded)
    await twin.begin()
    twin.clock.advance(1)
    for _ in range(3):
        assert b"Moorline-Cache: hit" in await twin.say(get(ADA, HINT))
    assert twin.quick_answers == 1
    return twin


async def test_a_rest_is_known_from_its_third_request_on_for_every_session() -> None:
    twin = await warmed()

    await twin.say(get(BOB, HINT))
    assert twin.quick_answers == 2, "also where no answer has been rendered yet"


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(get(SHORT, HINT), id="an id of another length"),
        pytest.param(get("Z" * 32, HINT), id="an unknown id"),
        pytest.param(get(ADA + ".a.b", HINT), id="two suffixes"),
        pytest.param(get(ADA + "x", HINT), id="a longer id"),
        pytest.param(get(ADA + "/attributes/n", HINT), id="another route"),
        pytest.param(get(ADA + "%2fa", HINT), id="an encoded slash"),
        pytest.param(get(ADA + ".%ff", HINT), id="a suffix that is no text"),
        pytest.param(get(ADA, HINT, "Moorline-Session: " + BOB), id="another name"),
        pytest.param(get("%61" + ADA[1:], HINT), id="an encoded id"),
        pytest.param(get(ADA, HINT, line="HEAD /v1/sessions/{} HTTP/1.1"), id="head"),
        pytest.param(get(ADA, HINT, line="GET /v1/sessions/{}?touch=false HTTP/1.1"), id="a query"),
        pytest.param(get(ADA, HINT, line="GET /v1/sessions/{} HTTP/1.0"), id="an old version"),
        pytest.param(get(ADA), id="no hint"),
        pytest.param(get(ADA, "Moorline-Hint: one"), id="a malformed hint"),
        pytest.param(get(ADA, "Moorline-Hint: 2.n1"), id="a newer hint"),
        pytest.param(get(ADA, HINT, HINT), id="two hints"),
        pytest.param(get(ADA, HINT, "Moorline-Context: /shop"), id="a context it does not have"),
        pytest.param(get(ADA, HINT, "Moorline-Context: shop"), id="no context"),
        pytest.param(get(ADA, HINT, 'If-None-Match: "1"'), id="a condition"),
        pytest.param(get(ADA, HINT, "Origin: http://x"), id="a browser"),
        pytest.param(get(ADA, HINT, "Connection: close"), id="a last request"),
        pytest.param(get(ADA, HINT, "Content-Length: 0"), id="a length"),
        pytest.param(get(ADA, HINT, "Traceparent: 00-x"), id="a trace"),
        pytest.param(get(ADA, HINT, "X: " + 1100 * "x"), id="a long head"),
        pytest.param(2 * get(ADA, HINT), id="two at once"),
        pytest.param(get(ADA, HINT) + b"GET", id="one and a bit"),
        pytest.param(b"\r\n" + get(ADA, HINT), id="after an empty line"),
    ],
)
async def test_what_is_not_plain_is_left_to_the_reader(request_: bytes) -> None:
    twin = await warmed()

    for _ in range(4):
        await twin.say(request_)
        twin.reconnect()
    assert twin.quick_answers == 1


async def test_what_follows_the_first_piece_of_a_request_is_not_taken_for_one() -> None:
    twin = await warmed()
    body = get(ADA, HINT)
    head = get(ADA, f"Content-Length: {len(body)}", line="PATCH /v1/sessions/{} HTTP/1.1")

    answer = await twin.say(head, body)

    assert b" 400 " in answer
    assert answer.count(b"HTTP/1.1") == 1
    assert twin.quick_answers == 1


async def test_an_answer_that_is_due_before_is_waited_for() -> None:
    twin = await warmed()

    answers = await twin.say(get(ADA), get(ADA, HINT))

    assert answers.index(b"Moorline-Cache: revalidated") < answers.index(b"Moorline-Cache: hit")
    assert twin.quick_answers == 1


async def test_the_client_may_cut_its_requests_anywhere() -> None:
    twin = await warmed()
    request = get(ADA, HINT)

    for cut in range(1, len(request)):
        assert (await twin.say(request[:cut], request[cut:])).count(b"HTTP/1.1 200") == 1
    assert twin.quick_answers == 1


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"staleness": Staleness.BOUNCED}, id="no stream"),
        pytest.param({"staleness": Staleness.ALWAYS}, id="always asked"),
        pytest.param({"evict": Eviction.AFTER_REQUEST}, id="evicted after each request"),
        pytest.param({"touch_period_ms": 0}, id="each access is stored"),
    ],
)
async def test_another_policy_is_followed_at_once(fields: dict[str, object]) -> None:
    twin = await warmed()

    twin.sessions.follow(structs.replace(POLICY, **fields))
    twin.clock.advance(1)

    assert b" 200 OK" in await twin.say(get(ADA, HINT))
    assert twin.quick_answers == 1


async def test_a_token_is_asked_for_by_each_request() -> None:
    twin = await warmed(is_guarded=True)
    twin.token = b"secret"

    assert b" 401 " in await twin.say(get(ADA, HINT))
    for _ in range(3):
        assert b" 200 " in await twin.say(get(ADA, HINT, "Authorization: Bearer secret"))
    assert twin.quick_answers == 2

    twin.token = b"other"
    assert b" 401 " in await twin.say(get(ADA, HINT, "Authorization: Bearer secret"))


async def test_the_context_that_is_not_named_is_followed() -> None:
    twin = await warmed()

    twin.api.follow(twin.by_cookie, "/shop")

    for _ in range(3):
        assert b'"context":"/shop"' in await twin.say(get(ADA, HINT))


async def test_a_copy_that_the_stream_does_not_vouch_for_is_asked_about() -> None:
    twin = await warmed()
    twin.clock.advance(LIVE_MS)
    assert b"Moorline-Cache: hit" in await twin.say(get(ADA, HINT)), "confirmed within maxTrust"
    assert twin.quick_answers == 1

    twin.vouch()
    await twin.say(get(ADA, HINT))
    assert twin.quick_answers == 2

    entry = twin.entry(ADA)
    assert entry is not None
    entry.outdate(2, twin.clock.monotonic())
    assert b"Moorline-Cache: hit" not in await twin.say(get(ADA, HINT))
    assert twin.quick_answers == 2


async def test_a_new_stream_vouches_for_nothing_that_was_before() -> None:
    twin = await warmed()
    coverage = twin.sessions.core.coverage

    coverage.begin(twin.clock.monotonic())
    twin.vouch()
    await twin.say(get(ADA, HINT))
    assert twin.quick_answers == 1

    entry = twin.entry(ADA)
    assert entry is not None
    twin.clock.advance(1)
    entry.confirm(twin.clock.monotonic())
    twin.vouch()
    for _ in range(2):
        await twin.say(get(ADA, HINT))
    assert twin.quick_answers == 3


async def test_two_clients_and_two_contexts_take_turns() -> None:
    twin = await warmed()
    other = get(ADA, HINT, "Accept: */*")
    shop = get(ADA, HINT, "Moorline-Context: /shop")
    change = b'{"set":{"n":1}}'
    head = f"PATCH /v1/sessions/{ADA} HTTP/1.1\r\nHost: localhost\r\nMoorline-Context: /shop\r\n"
    await twin.say(head.encode() + b"Content-Length: %d\r\n\r\n" % len(change) + change)
    for _ in range(3):
        await twin.say(get(ADA, HINT), other, shop)
    twin.count_anew()

    answers = [await twin.say(get(ADA, HINT), other, shop) for _ in range(3)]

    assert twin.quick_answers == 9
    for each in answers:
        assert [each.count(b'"context":"%b"' % name) for name in (b"/", b"/shop")] == [2, 1]


async def test_the_first_access_of_a_touch_period_is_answered_at_once() -> None:
    twin = await warmed()
    entry = twin.entry(ADA)
    assert entry is not None
    await twin.sessions.touching.flush()
    assert not twin.sessions.core.unwritten

    twin.clock.advance(5)
    await twin.say(get(ADA, HINT))

    assert twin.quick_answers == 2
    assert entry.times.own_accessed == twin.clock.now()
    assert twin.sessions.core.unwritten == {entry.key: entry.times}


async def test_an_access_that_must_not_wait_is_written_before_it_is_answered() -> None:
    twin = await warmed(structs.replace(POLICY, max_idle_ms=60_000))
    entry = twin.entry(ADA)
    assert entry is not None

    twin.clock.advance(50_000)
    twin.vouch()
    await twin.say(get(ADA, HINT))

    assert twin.quick_answers == 1
    assert entry.times.stored_accessed == twin.clock.now()


async def test_an_outage_is_told_of() -> None:
    twin = await warmed()

    twin.sessions.core.availability.begin_away()

    assert b"Moorline-Degraded: store-unavailable" in await twin.say(get(ADA, HINT))


async def test_what_the_l1_has_dropped_is_not_found_by_its_line() -> None:
    twin = await warmed()
    entry = twin.entry(ADA)
    assert entry is not None

    twin.sessions.core.l1.drop(entry.key)

    assert b"Moorline-Cache: miss" in await twin.say(get(ADA, HINT))


async def test_no_hit_outlives_a_session() -> None:
    twin = await warmed(structs.replace(POLICY, max_idle_ms=20_000, max_age_ms=30_000))
    answers = []
    for _ in range(32):
        twin.clock.advance(1_000)
        twin.vouch()
        answers.append((await twin.say(get(ADA, HINT)))[9:12])
        twin.reconnect()

    assert answers == 29 * [b"200"] + 3 * [b"410"]


async def test_rests_that_come_once_are_not_kept() -> None:
    twin = await warmed()

    for number in range(RESTS_MAX + 10):
        await twin.say(get(ADA, HINT, f"X: {number}"))

    await twin.say(get(ADA, HINT))
    assert twin.quick_answers == 2


async def test_a_connection_that_is_in_use_is_not_idle() -> None:
    twin = await warmed()
    idle_s = Limits().idle_s
    twin.look(0)

    await twin.say(get(ADA, HINT))
    twin.look(idle_s)
    assert not twin.is_closed
    twin.look(2 * idle_s)
    assert twin.is_closed


async def test_a_mistake_of_ours_ends_the_connection_with_an_answer() -> None:
    twin = await warmed()

    def fail(_: bytes) -> bytes | None:
        raise ZeroDivisionError

    twin.reconnect(quick=fail)

    assert (await twin.say(get(ADA, HINT))).startswith(b"HTTP/1.1 500 ")
    assert twin.traffic.failures == 1
    assert await twin.say(get(ADA, HINT)) == b""
