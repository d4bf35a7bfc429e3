from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moorline_operator.errors import AlreadyExists, Forbidden, Invalid, KubeError
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import EVENTS, Kind
from moorline_operator.recorder import INTERVAL, REMEMBERED, Recorder, Subject
from moorline_operator.status import Notice, Reason
from structlog.testing import capture_logs

SHOP = Subject(namespace="web", name="shop", uid="uid-of-shop")
LOST = Notice(Reason.BACKEND_UNREACHABLE, "Unreachable: no server answers.")
LOST_OTHERWISE = Notice(Reason.BACKEND_UNREACHABLE, "TLSFailed: no TLS.")
PURGED = Notice(Reason.PURGE_COMPLETED, "Deleted 1 tombstones.")


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 8, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class EventStore:
    """Events as an API server keeps them: a name exists once, and only a series may change."""

    def __init__(self, refusal: KubeError | None = None) -> None:
        self.events: dict[str, KubeObject] = {}
        self.writes = 0
        self._refusal = refusal

    async def create(self, kind: Kind, obj: KubeObject) -> KubeObject:
        assert kind is EVENTS
        name = obj["metadata"]["name"]
        if self._refusal is not None:
            raise self._refusal
        if name in self.events:
            raise AlreadyExists("create", name)
        self.writes += 1
        self.events[name] = obj
        return obj

    async def apply(self, kind: Kind, obj: KubeObject) -> KubeObject:
        assert kind is EVENTS
        assert obj.keys() == {"apiVersion", "kind", "metadata", "series"}
        self.writes += 1
        self.events[obj["metadata"]["name"]].update(obj)
        return obj


def a_recorder(store: Any, clock: Clock, instance: str = "operator-1") -> Recorder:  # noqa: ANN401 - a store of any kind
    return Recorder(store, instance=instance, now=clock)


async def test_a_notice_becomes_an_event() -> None:
    store = EventStore()
    await a_recorder(store, Clock()).record(SHOP, [LOST])
    [event] = store.events.values()
    assert event["reason"] == "BackendUnreachable"
    assert event["type"] == "Warning"
    assert event["note"] == LOST.note
    assert event["regarding"]["uid"] == "uid-of-shop"
    assert event["eventTime"] == "2026-11-22T08:00:00.000000Z"


async def test_the_same_within_ten_minutes_is_only_counted() -> None:
    store, clock = EventStore(), Clock()
    recorder = a_recorder(store, clock)
    for _ in range(5):
        await recorder.record(SHOP, [LOST])
        clock.now += timedelta(minutes=1)
    assert store.writes == 1
    clock.now += INTERVAL
    await recorder.record(SHOP, [LOST])
    [event] = store.events.values()
    assert event["series"] == {"count": 6, "lastObservedTime": "2026-11-22T08:15:00.000000Z"}


async def test_another_sentence_waits_for_its_time_too() -> None:
    store, clock = EventStore(), Clock()
    recorder = a_recorder(store, clock)
    await recorder.record(SHOP, [LOST, LOST_OTHERWISE, PURGED])
    assert {event["note"] for event in store.events.values()} == {LOST.note, PURGED.note}
    clock.now += INTERVAL
    await recorder.record(SHOP, [LOST_OTHERWISE])
    assert len(store.events) == 3


async def test_another_object_is_another_matter() -> None:
    store = EventStore()
    recorder = a_recorder(store, Clock())
    await recorder.record(SHOP, [LOST])
    await recorder.record(Subject(namespace="web", name="shop", uid="remade"), [LOST])
    assert len(store.events) == 2


async def test_two_processes_write_one_event() -> None:
    store, clock = EventStore(), Clock()
    await a_recorder(store, clock).record(SHOP, [LOST])
    await a_recorder(store, clock, "operator-2").record(SHOP, [LOST])
    [event] = store.events.values()
    assert event["reportingInstance"] == "operator-1"
    assert event["series"]["count"] == 2


@pytest.mark.parametrize(
    "refusal", [Forbidden("create", "the namespace is being deleted"), Invalid("create", "no")]
)
async def test_a_lost_event_is_a_line_in_the_log(refusal: KubeError) -> None:
    with capture_logs() as lines:
        await a_recorder(EventStore(refusal), Clock()).record(SHOP, [LOST, PURGED])
    assert [line["reason"] for line in lines] == ["BackendUnreachable", "PurgeCompleted"]
    assert lines[0]["why"] == str(refusal)


async def test_memory_is_bounded() -> None:
    store, clock = EventStore(), Clock()
    recorder = a_recorder(store, clock)
    for number in range(REMEMBERED + 1):
        await recorder.record(Subject(namespace="web", name="s", uid=str(number)), [LOST])
    assert store.writes == REMEMBERED + 1
    await recorder.record(Subject(namespace="web", name="s", uid=str(REMEMBERED)), [LOST])
    assert store.writes == REMEMBERED + 1, "the latest is remembered"
    await recorder.record(Subject(namespace="web", name="s", uid="0"), [LOST])
    assert store.writes == REMEMBERED + 2, "the oldest is forgotten"


async def test_the_api_server_takes_events_and_series(kube: Kube, namespace: str) -> None:
    subject = Subject(namespace=namespace, name="shop", uid="5f2c1b1e-6a3d-4d57-9c80-0d5a7e3a9b11")
    note = Notice(Reason.CONFIG_INVALID, "ö" * 2000)
    clock = Clock()
    recorder = a_recorder(kube, clock, 200 * "i")
    with capture_logs() as lines:
        await recorder.record(subject, [note, *[Notice(reason, "so") for reason in Reason]])
        clock.now += INTERVAL
        await recorder.record(subject, [note])
        await a_recorder(kube, clock, "operator-2").record(subject, [note])
    assert lines == []
    events = [event async for page in kube.pages(EVENTS, namespace) for event in page["items"]]
    by_note = {event["note"]: event for event in events}
    [cut] = [event for text, event in by_note.items() if text.startswith("ö")]
    assert cut["series"]["count"] == 2
    assert len(events) == len(Reason)
