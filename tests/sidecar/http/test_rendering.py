import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.cache.entry import Entry, times_of
from moorline_sidecar.domain.ids import Hint
from moorline_sidecar.domain.session import Session
from moorline_sidecar.http.messages import Response
from moorline_sidecar.http.rendering import Facts, Renderer
from moorline_sidecar.http.tags import entity_tag
from moorline_sidecar.sessions.finding import Source
from msgspec import structs

from tests.contract.sessions import T0, a_session
from tests.sidecar.cache.entries import A_CHANGE

A = "A" * 32
RENDERER = Renderer("node3")
SESSION = a_session(version=7)
PLAIN = Facts(A, "/", Source.MISS)


def held(session: Session = SESSION) -> Entry:
    return Entry(session, times_of(session), 0)


def fields_of(response: Response) -> dict[str, str]:
    """The header fields; none stands there twice."""
    lines = response.fields.decode().split("\r\n")
    assert lines.pop() == ""
    fields = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    assert len(fields) == len(lines)
    return fields


def shown(session: Session, facts: Facts = PLAIN) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(RENDERER.session(200, held(session), facts).body)
    return read


def test_a_session_is_shown_whole() -> None:
    session = a_session(
        version=7,
        created=T0,
        last_accessed=T0 + 1_000,
        accessed=T0 + 2_001,
        expiry=T0 + 60_000,
        max_idle_ms=1_800_000,
        contexts={"/": {"user": "ada"}, "/admin": {"secret": 1}},
    )

    assert shown(session) == {
        "id": A,
        "worker": "node3",
        "context": "/",
        "version": 7,
        "new": False,
        "created": "2027-01-15T08:00:00.000Z",
        "accessed": "2027-01-15T08:00:02.001Z",
        "lastAccessed": "2027-01-15T08:00:01.000Z",
        "expires": "2027-01-15T08:01:00.000Z",
        "maxIdleSeconds": 1800,
        "principal": None,
        "attributes": {"user": "ada"},
    }


@pytest.mark.parametrize(
    ("fields", "facts", "expected"),
    [
        pytest.param({"expiry": None}, PLAIN, {"expires": None}, id="never expires"),
        pytest.param({"max_idle_ms": 0}, PLAIN, {"maxIdleSeconds": 0}, id="never idle"),
        pytest.param({"max_idle_ms": 1_500}, PLAIN, {"maxIdleSeconds": 1.5}, id="half a second"),
        pytest.param({"principal": "ada"}, PLAIN, {"principal": "ada"}, id="principal"),
        pytest.param(
            {"contexts": {"/shop": {"a": 1}}}, PLAIN, {"attributes": {}}, id="no such context"
        ),
        pytest.param(
            {"contexts": {"/sh\xf6p": {"a": 1}}},
            Facts(A, "/sh\xf6p", Source.MISS),
            {"context": "/sh\xf6p", "attributes": {"a": 1}},
            id="another context",
        ),
        pytest.param({}, Facts(A, "/", Source.BYPASS, is_new=True), {"new": True}, id="created"),
    ],
)
def test_a_session_is_shown_as_it_is(
    fields: dict[str, Any], facts: Facts, expected: dict[str, Any]
) -> None:
    session = shown(a_session(**fields), facts)

    assert {name: session[name] for name in expected} == expected


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=9) | st.floats(-9, 9), max_size=3))
def test_attributes_come_out_as_they_are(attributes: dict[str, Any]) -> None:
    assert shown(a_session(contexts={"/": attributes}))["attributes"] == attributes


def test_whole_seconds_are_shown_without_a_point() -> None:
    assert b'"maxIdleSeconds":1800,' in RENDERER.session(200, held(), PLAIN).body


@pytest.mark.parametrize("source", Source)
def test_every_answer_has_its_fields(source: Source) -> None:
    response = RENDERER.session(200, held(), structs.replace(PLAIN, source=source))

    assert fields_of(response) == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "ETag": entity_tag(A, 7).decode(),
        "Moorline-Hint": "7.node3",
        "Moorline-Cache": source.name.lower(),
    }


@pytest.mark.parametrize("source", Source)
@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({"was_renewed": True}, {"Moorline-Renewed": "true"}, id="renewed"),
        pytest.param(
            {"is_degraded": True}, {"Moorline-Degraded": "store-unavailable"}, id="degraded"
        ),
        pytest.param({"at_least": 9}, {"Moorline-Hint": "9.node3"}, id="a higher version was seen"),
        pytest.param({"at_least": 6}, {"Moorline-Hint": "7.node3"}, id="a lower version was seen"),
        pytest.param({"more": b"X-More: 1\r\n"}, {"X-More": "1"}, id="more"),
    ],
)
def test_an_answer_says_what_applies_wherever_it_came_from(
    source: Source, facts: dict[str, Any], expected: dict[str, str]
) -> None:
    entry = held()
    RENDERER.session(200, entry, structs.replace(PLAIN, source=source))

    fields = fields_of(RENDERER.session(200, entry, structs.replace(PLAIN, source=source, **facts)))

    assert expected.items() <= fields.items()


@pytest.mark.parametrize("source", Source)
def test_what_is_unsaved_has_no_tag(source: Source) -> None:
    entry = held()
    RENDERER.session(200, entry, PLAIN)
    entry.unsaved = (A_CHANGE,)
    entry.hold(entry.stored, a_session(version=7, contexts={"/": {"a": 1}}))
    facts = structs.replace(PLAIN, source=source)

    fields = fields_of(RENDERER.session(200, entry, facts))

    assert fields["Moorline-Unsaved"] == "true"
    assert "ETag" not in fields
    assert fields["Moorline-Hint"] == "7.node3"


def test_what_was_saved_has_a_tag_again() -> None:
    entry = held()
    entry.unsaved = (A_CHANGE,)
    hit = structs.replace(PLAIN, source=Source.HIT)
    RENDERER.session(200, entry, hit)
    entry.unsaved = ()
    saved = a_session(version=8)
    entry.hold(saved, saved)

    fields = fields_of(RENDERER.session(200, entry, hit))

    assert "Moorline-Unsaved" not in fields
    assert (fields["ETag"], fields["Moorline-Hint"]) == (entity_tag(A, 8).decode(), "8.node3")


def test_a_hit_after_a_change_shows_the_change() -> None:
    entry = held()
    hit = structs.replace(PLAIN, source=Source.HIT)
    RENDERER.session(200, entry, hit)
    changed = a_session(version=8, contexts={"/": {"a": 1}}, principal="ada")
    entry.hold(changed, changed)

    session = json.loads(RENDERER.session(200, entry, hit).body)

    assert (session["version"], session["principal"]) == (8, "ada")
    assert session["attributes"] == {"a": 1}


def test_times_move_without_a_new_record() -> None:
    entry = held()
    RENDERER.session(200, entry, PLAIN)
    entry.times.own_last_accessed = T0 + 5_000
    entry.times.own_accessed = T0 + 6_000
    entry.times.own_expiry = T0 + 7_000

    session = json.loads(RENDERER.session(200, entry, PLAIN).body)

    assert session["lastAccessed"] == "2027-01-15T08:00:05.000Z"
    assert session["accessed"] == "2027-01-15T08:00:06.000Z"
    assert session["expires"] == "2027-01-15T08:00:07.000Z"


def test_contexts_do_not_get_each_others_answers() -> None:
    entry = held(a_session(contexts={"/": {"a": 1}, "/shop": {"b": 2}}))
    bodies = [
        json.loads(RENDERER.session(200, entry, Facts(A, context, Source.HIT)).body)
        for context in ("/", "/shop", "/", "/shop")
    ]

    assert [body["attributes"] for body in bodies] == [{"a": 1}, {"b": 2}] * 2


def test_only_the_answer_that_creates_a_session_calls_it_new() -> None:
    entry = held()
    answers = [
        RENDERER.session(200, entry, Facts(A, "/", Source.BYPASS, is_new=is_new))
        for is_new in (True, False, True)
    ]

    assert [json.loads(answer.body)["new"] for answer in answers] == [True, False, True]


@pytest.mark.parametrize(
    ("expiry", "expected"),
    [
        pytest.param(T0 + 1, "2027-01-15T08:00:00.001Z", id="some time"),
        pytest.param(None, "never", id="never"),
    ],
)
@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_says_when_the_session_expires(
    status: int, expiry: int | None, expected: str
) -> None:
    response = RENDERER.empty(status, held(a_session(expiry=expiry)), PLAIN)

    assert (response.status, response.body) == (status, b"")
    assert fields_of(response)["Moorline-Expires"] == expected
    assert "Content-Type" not in fields_of(response)


@pytest.mark.parametrize("value", [None, 1, "x", {"a": [1.5]}])
def test_an_attribute_is_answered_with_its_value(value: object) -> None:
    response = RENDERER.value(held(), PLAIN, msgspec.Raw(msgspec.json.encode(value)))

    assert json.loads(response.body) == value
    assert fields_of(response)["Content-Type"] == "application/json"


def test_the_hint_is_what_is_stored_not_what_is_shown() -> None:
    entry = held()
    entry.hold(entry.stored, a_session(version=9))

    assert RENDERER.hint(entry) == Hint(7, "node3")
