"""What a map holds: the same text for the same record, and nothing where nobody can read it."""

import json

import pytest
from moorline_sidecar.domain.session import Reason, Session, Tombstone
from moorline_sidecar.stores.json_records import record_of, text_of

from tests.contract.sessions import T0, a_session


def test_the_order_in_which_attributes_were_set_is_not_in_the_text() -> None:
    one = {"/shop": {"b": 2, "a": {"y": 1, "x": 2}}, "/": {"c": 3}}
    other = {"/": {"c": 3}, "/shop": {"a": {"y": 1, "x": 2}, "b": 2}}

    texts = {text_of(a_session(contexts=each, write_id="same")) for each in (one, other)}

    assert len(texts) == 1


def test_the_order_within_a_value_comes_back_as_it_was() -> None:
    session = a_session(contexts={"/": {"value": {"y": 1, "x": 2}}})

    found = record_of(session.key, text_of(session))

    assert isinstance(found, Session)
    assert list(found.contexts["/"]["value"]) == ["y", "x"]


def test_what_queries_ask_for_is_at_the_top() -> None:
    copy = json.loads(text_of(a_session(principal="ada", renew_of="origin", last_saved=T0 + 3)))
    session = json.loads(text_of(a_session()))

    assert (copy["valid"], copy["principal"], copy["copied"]) == (True, "ada", T0 + 3)
    assert not {"principal", "copied", "invalidated"} & session.keys()


NO_RECORDS = {
    "no JSON": "valid",
    "another's JSON": '{"user": "ada"}',
    "a time that is none": '{"valid":true,"version":1,"created":"now","accessed":1}',
}


@pytest.mark.parametrize("text", NO_RECORDS.values(), ids=NO_RECORDS.keys())
def test_what_nobody_can_read_is_no_record(text: str) -> None:
    assert record_of("key", text) is None


def test_a_session_that_a_person_ended_by_hand_is_over() -> None:
    by_hand = text_of(a_session()).replace('"valid":true', '"valid":false')

    found = record_of("session-1", by_hand)

    assert isinstance(found, Tombstone)
    assert (found.reason, found.invalidated) == (Reason.ADMIN, T0)
