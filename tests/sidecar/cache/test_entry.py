import gc

import pytest
from moorline_sidecar.cache.entry import CONTEXT_BYTES, ENTRY_BYTES, Entry, detached, times_of
from moorline_sidecar.cache.l1 import L1
from moorline_sidecar.domain.changes import Patch, content_size
from moorline_sidecar.domain.merging import Asked
from moorline_sidecar.domain.session import Reason, Record, Session, Tombstone
from moorline_sidecar.hot import Times

from tests.contract.sessions import IDLE, T0, a_session
from tests.sidecar.cache.entries import A_CHANGE, an_answer, an_entry, weighing
from tests.sidecar.domain.facts import fields_of


def a_tombstone(grace: Session | None = None) -> Tombstone:
    return Tombstone(
        key="session-1",
        version=8,
        created=T0,
        accessed=T0 + 7,
        invalidated=T0 + 9,
        reason=Reason.LOGOUT,
        grace=grace,
    )


def held(record: Record) -> Entry:
    return Entry(record, times_of(record), 5)


def test_a_new_entry_serves_what_is_stored() -> None:
    session = a_session(cookie_set=T0 + 3)
    entry = held(session)

    assert entry.key == session.key
    assert entry.record is entry.stored is session
    assert (entry.confirmed_at, entry.times.used_at, entry.cookie_set) == (5, 5, T0 + 3)
    assert entry.promised == []


def test_no_collection_has_to_look_at_an_entry() -> None:
    entry = held(a_session())
    answer = an_answer()
    entry.keep(answer)

    kept = (entry, entry.times, entry.record, answer)
    assert not [each for each in kept if gc.is_tracked(each)]


@pytest.mark.parametrize("drop", ["another record", "evicted"])
def test_the_answers_of_many_contexts_are_forgotten_one_after_the_other(drop: str) -> None:
    l1 = L1(1, 1 << 30)
    entry = held(a_session())
    l1.put(entry)
    for _ in range(200_000):
        entry.keep(an_answer())

    if drop == "evicted":
        l1.put(held(a_session("other")))
    else:
        entry.hold(entry.stored, entry.stored)

    assert entry.answer is None


def test_the_times_of_a_session_are_its_own() -> None:
    session = a_session(
        accessed=T0 + 5, last_accessed=T0 + 2, expiry=T0 + 9, deadline=T0 + 10, last_node="n7"
    )

    times = Times(
        own_accessed=T0 + 5,
        own_expiry=T0 + 9,
        stored_accessed=T0 + 5,
        stored_expiry=T0 + 9,
        stored_node="n7",
        deadline=T0 + 10,
        max_idle_ms=IDLE,
        own_last_accessed=T0 + 2,
    )
    assert fields_of(times_of(session)) == fields_of(times)


def test_a_tombstone_does_not_expire() -> None:
    times = times_of(a_tombstone())

    assert (times.own_expiry, times.stored_expiry, times.deadline) == (None, None, None)


def test_a_new_record_drops_the_encoded_answers() -> None:
    entry = an_entry("session-1")
    first, second = an_answer("/"), an_answer("/shop")
    entry.keep(first)
    entry.keep(second)
    assert (entry.answer_of("/"), entry.answer_of("/shop")) == (first, second)
    assert entry.answer_of("/other") is None

    entry.hold(entry.stored, weighing("session-1", 10))

    assert entry.answer_of("/") is entry.answer_of("/shop") is None


def test_what_was_promised_is_what_is_being_saved_and_then_what_is_not() -> None:
    entry = an_entry("session-1", is_unsaved=True)
    later = Asked(patch=Patch(context="/", unset=("a",)))
    entry.sending, entry.unsaved = entry.unsaved, [later]

    assert entry.promised == [A_CHANGE, later]


@pytest.mark.parametrize(
    ("sending", "unsaved", "expected"),
    [
        pytest.param([], [], True, id="all is saved"),
        pytest.param([], [A_CHANGE], False, id="unsaved"),
        pytest.param([A_CHANGE], [], False, id="being saved"),
        pytest.param([A_CHANGE], [A_CHANGE], False, id="both"),
    ],
)
def test_an_entry_is_saved_first_then_evicted(
    sending: list[Asked], unsaved: list[Asked], *, expected: bool
) -> None:
    entry = an_entry("session-1")
    entry.sending, entry.unsaved = sending, unsaved

    assert entry.is_evictable is expected


def test_a_detached_entry_shows_a_record_as_it_was() -> None:
    session = a_session(expiry=T0 + 9)
    entry = detached(session)

    assert entry.record is entry.stored is session
    assert entry.times.own_expiry == T0 + 9
    assert entry.is_evictable


def test_content_weighs_what_its_text_takes() -> None:
    assert an_entry("session-1", 1_000).size - an_entry("session-1", 10).size == 990


def test_what_is_served_weighs_beside_what_is_stored() -> None:
    light, heavy = an_entry("session-1", 10), an_entry("session-1", 10)
    heavy.hold(heavy.stored, weighing("session-1", 1_000))

    assert heavy.size - light.size == content_size(weighing("session-1", 1_000).contexts)


def test_each_context_after_the_first_weighs() -> None:
    one, two = {"/": {"a": 1}}, {"/": {"a": 1}, "/admin": {}}

    more = held(a_session(contexts=two)).size - held(a_session(contexts=one)).size
    assert more == CONTEXT_BYTES + len(',"/admin":{}')


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(weighing("session-1"), id="session"),
        pytest.param(a_tombstone(), id="tombstone"),
        pytest.param(a_tombstone(weighing("session-1")), id="tombstone in its grace"),
    ],
)
def test_every_entry_weighs_something(record: Record) -> None:
    assert held(record).size >= ENTRY_BYTES


def test_what_a_tombstone_keeps_for_its_grace_weighs() -> None:
    light, heavy = weighing("session-1", 10), weighing("session-1", 1_010)

    assert held(a_tombstone(heavy)).size - held(a_tombstone(light)).size == 1_000
    assert held(a_tombstone()).size < held(a_tombstone(light)).size


def test_what_was_asked_before_a_version_was_told_again_proves_nothing() -> None:
    entry = held(a_session())
    entry.outdate(2, heard_at=10)
    entry.outdate(2, heard_at=20)

    entry.confirm(asked_at=15)
    assert entry.is_outdated

    entry.confirm(asked_at=21)
    assert not entry.is_outdated


def test_a_lower_version_that_is_told_later_changes_nothing() -> None:
    entry = held(a_session())
    entry.outdate(3, heard_at=10)
    entry.outdate(2, heard_at=20)

    entry.confirm(asked_at=15)
    assert not entry.is_outdated
