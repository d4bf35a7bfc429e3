import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from moorline_sidecar.config import PurgeSettings
from moorline_sidecar.domain.session import Tombstone
from moorline_sidecar.errors import OutcomeUnknown, StoreUnavailable
from moorline_sidecar.purge import (
    BATCH,
    FINISH_SECONDS,
    Progress,
    PurgePlan,
    PurgeResult,
    Purging,
    log_report,
    plan_of,
    progress_line,
    terminal_report,
)
from moorline_sidecar.stores.memory import MemoryStore
from structlog.testing import capture_logs

from tests.contract.sessions import T0, a_session, an_end, inserted, written
from tests.sidecar.sessions.faults import Link, answer_lost, request_lost, unavailable

pytestmark = pytest.mark.looptime

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = T0 + 30 * DAY
SETTINGS = PurgeSettings(invalid_age_ms=DAY, valid_age_ms=7 * DAY, limit=0)
PLAN = plan_of(SETTINGS)


async def store_with(*, tombstones: int = 0, forgotten: int = 0, live: int = 0) -> MemoryStore:
    """Ended ten days ago, expired ten days ago, and in use."""
    store = MemoryStore(lambda: NOW)
    for number in range(tombstones):
        await inserted(store, f"ended-{number}")
        await written(store, an_end(f"ended-{number}", now=NOW - 10 * DAY))
    old = NOW - 10 * DAY
    for number in range(forgotten):
        await store.insert(a_session(f"old-{number}", accessed=old, expiry=old + HOUR))
    for number in range(live):
        await store.insert(a_session(f"live-{number}", accessed=NOW - HOUR, expiry=NOW + HOUR))
    return store


async def keys(store: MemoryStore, *names: str) -> set[str]:
    return set(await store.load(names))


def counts(result: PurgeResult) -> tuple[int, int, bool]:
    return result.invalid_deleted, result.valid_deleted, result.complete


async def test_what_is_over_is_deleted_and_nothing_else() -> None:
    store = await store_with(tombstones=3, forgotten=2, live=4)
    result = await Purging(store, PLAN).run()
    assert counts(result) == (3, 2, True)
    assert await store.count() == 4
    assert await keys(store, "live-0", "live-3") == {"live-0", "live-3"}


async def test_a_second_run_finds_nothing_to_do() -> None:
    store = await store_with(tombstones=3, forgotten=2, live=1)
    await Purging(store, PLAN).run()
    assert counts(await Purging(store, PLAN).run()) == (0, 0, True)
    assert await store.count() == 1


async def test_young_tombstones_and_recently_used_sessions_stay() -> None:
    store = MemoryStore(lambda: NOW)
    for key, age in (("young", DAY - 1), ("old", DAY + 1)):
        await inserted(store, key)
        await written(store, an_end(key, now=NOW - age))
    expired = NOW - 3 * DAY
    await store.insert(a_session("recent", accessed=expired, expiry=expired + HOUR))
    await store.insert(a_session("endless", accessed=NOW - 8 * DAY, expiry=None, max_idle_ms=0))
    await store.insert(a_session("patient", accessed=NOW - 8 * DAY, expiry=NOW + DAY))
    result = await Purging(store, PLAN).run()
    assert counts(result) == (1, 1, True)
    names = ("young", "old", "recent", "endless", "patient")
    assert await keys(store, *names) == {"young", "recent", "patient"}


async def test_full_takes_every_tombstone_but_fresh_ones_and_no_more_sessions() -> None:
    store = MemoryStore(lambda: NOW)
    for key, age in (("fresh", 59_000), ("minute", 61_000), ("young", HOUR)):
        await inserted(store, key)
        await written(store, an_end(key, now=NOW - age))
    expired = NOW - 3 * DAY
    await store.insert(a_session("recent", accessed=expired, expiry=expired + HOUR))
    result = await Purging(store, plan_of(SETTINGS, is_full=True)).run()
    assert counts(result) == (2, 0, True)
    assert await keys(store, "fresh", "recent") == {"fresh", "recent"}


async def test_valid_age_zero_keeps_every_session() -> None:
    store = await store_with(tombstones=1, forgotten=2)
    plan = plan_of(PurgeSettings(invalid_age_ms=DAY, valid_age_ms=0, limit=0))
    assert counts(await Purging(store, plan).run()) == (1, 0, True)


async def test_a_dry_run_counts_and_deletes_nothing() -> None:
    store = await store_with(tombstones=3, forgotten=2, live=1)
    result = await Purging(store, plan_of(SETTINGS, is_dry=True)).run()
    assert counts(result) == (3, 2, True)
    assert result.dry_run
    assert await store.count() == 6


@pytest.mark.parametrize("is_dry", [False, True], ids=["for real", "dry"])
@pytest.mark.parametrize(
    ("limit", "invalid", "valid"),
    [(1, 1, 1), (BATCH, BATCH, 2), (BATCH + 1, BATCH + 1, 2), (0, BATCH + 5, 2)],
)
async def test_the_limit_is_of_each_kind(
    limit: int, invalid: int, valid: int, *, is_dry: bool
) -> None:
    store = await store_with(tombstones=BATCH + 5, forgotten=2)
    result = await Purging(store, plan_of(SETTINGS, limit=limit, is_dry=is_dry)).run()
    assert counts(result) == (invalid, valid, True)


def test_the_limit_of_the_command_comes_before_that_of_the_cluster() -> None:
    settings = PurgeSettings(invalid_age_ms=DAY, valid_age_ms=0, limit=5)
    assert plan_of(settings).limit == 5
    assert plan_of(settings, limit=0).limit == 0


async def test_deleting_goes_in_batches() -> None:
    link = Link(await store_with(tombstones=2 * BATCH + 1))
    await Purging(link, PLAN).run()
    # Two full ones, the rest, and one that finds nothing; and one for the sessions.
    assert link.calls["purge"] == 5
    assert link.calls["purgeable"] == 0


@pytest.mark.parametrize("fault", [unavailable, request_lost, answer_lost])
async def test_a_store_that_comes_back_is_gone_on_with(
    fault: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]],
) -> None:
    store = await store_with(tombstones=BATCH + 3, forgotten=2, live=1)
    link = Link(store)
    link.plan("now", unavailable, times=2)
    link.plan("purge", fault, times=5)
    result = await Purging(link, PLAN).run()
    assert result.complete
    assert await store.count() == 1


@pytest.mark.parametrize(("fault", "error"), [
    (unavailable, StoreUnavailable), (request_lost, OutcomeUnknown),
])  # fmt: skip
async def test_a_store_that_stays_away_ends_the_purge(
    fault: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]], error: type[Exception]
) -> None:
    store = await store_with(tombstones=2 * BATCH)
    link = Link(store)

    def report(_progress: Progress) -> None:
        link.always = fault

    purging = Purging(link, PLAN, report=report)
    with pytest.raises(error):
        await purging.run()
    assert counts(purging.result) == (BATCH, 0, False)
    assert asyncio.get_running_loop().time() < 20, "a CronJob does not wait for hours"


async def test_stop_ends_it_after_the_batch() -> None:
    store = await store_with(tombstones=3 * BATCH)
    purging = Purging(store, PLAN, report=lambda _: purging.stop.set())
    assert counts(await purging.run()) == (BATCH, 0, False)


async def test_stop_does_not_wait_for_a_store_that_hangs() -> None:
    link = Link(await store_with(tombstones=1))
    link.plan("purge", lambda _: asyncio.Event().wait())
    purging = Purging(link, PLAN)
    asyncio.get_running_loop().call_later(5, purging.stop.set)
    assert counts(await purging.run()) == (0, 0, False)
    assert asyncio.get_running_loop().time() == pytest.approx(5 + FINISH_SECONDS)


async def test_stop_does_not_wait_for_the_next_try() -> None:
    link = Link(await store_with(tombstones=1))
    link.always = unavailable
    purging = Purging(link, PLAN)
    asyncio.get_running_loop().call_later(0.6, purging.stop.set)
    with pytest.raises(StoreUnavailable):
        await purging.run()
    assert not purging.result.complete
    assert asyncio.get_running_loop().time() == pytest.approx(0.6)


async def test_a_batch_under_way_counts_when_the_end_comes() -> None:
    async def slowly(operation: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401 - as it is
        await asyncio.sleep(1)
        return await operation()

    link = Link(await store_with(tombstones=3 * BATCH))
    link.always = slowly
    result = await Purging(link, PLAN, seconds=4.5).run()
    # now, tables, copies, a batch, and one that began in time.
    assert counts(result) == (2 * BATCH, 0, False)
    assert result.duration_seconds == pytest.approx(5)


async def test_whoever_may_make_no_tables_may_purge() -> None:
    link = Link(await store_with(tombstones=1))
    link.plan("prepare", unavailable)
    assert counts(await Purging(link, PLAN).run()) == (1, 0, True)


async def test_a_cancelled_purge_leaves_no_call_behind() -> None:
    link = Link(await store_with(tombstones=1))
    link.plan("purge", lambda _: asyncio.Event().wait())
    running = asyncio.create_task(Purging(link, PLAN).run())
    await asyncio.sleep(1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_progress_is_told_with_the_total_where_it_was_counted() -> None:
    told: list[Progress] = []
    store = await store_with(tombstones=BATCH + 1, forgotten=2)
    await Purging(store, PLAN, report=told.append, counts_first=True).run()
    assert [(each.deleted, each.total) for each in told] == [
        (BATCH, BATCH + 3),
        (BATCH + 1, BATCH + 3),
        (BATCH + 3, BATCH + 3),
    ]


async def test_a_tombstone_is_no_session_to_a_purge_and_none_the_other_way_round() -> None:
    store = await store_with(tombstones=1, forgotten=1)
    await Purging(store, PurgePlan(invalid_age_ms=365 * DAY, valid_age_ms=365 * DAY)).run()
    records = await store.load(["ended-0", "old-0"])
    assert {key: isinstance(record, Tombstone) for key, record in records.items()} == {
        "ended-0": True,
        "old-0": False,
    }


def test_the_result_is_written_as_the_operator_reads_it() -> None:
    result = PurgeResult(invalid_deleted=1, valid_deleted=2, duration_seconds=0.5, complete=True)
    assert msgspec.json.decode(msgspec.json.encode(result)) == {
        "invalidDeleted": 1,
        "validDeleted": 2,
        "dryRun": False,
        "durationSeconds": 0.5,
        "complete": True,
    }


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (
            Progress(deleted=12_000, total=50_000, seconds=4),
            "12,000 of 50,000 deleted, 3,000/s, 13 s left",
        ),
        (Progress(deleted=12_000, total=None, seconds=4), "12,000 deleted, 3,000/s"),
        (Progress(deleted=7, total=5, seconds=1), "7 of 5 deleted, 7/s, 0 s left"),
        (Progress(deleted=7, total=9, seconds=0), "7 of 9 deleted, 0/s"),
    ],
)
def test_progress_in_words(progress: Progress, line: str) -> None:
    assert progress_line(progress) == line


def test_a_terminal_sees_one_line_that_is_not_written_too_often() -> None:
    stream = io.StringIO()
    report = terminal_report(stream)
    for tick in range(100):
        report(Progress(deleted=tick, total=99, seconds=tick / 100))
    lines = stream.getvalue().split("\r\x1b[K")[1:]
    assert len(lines) == 6
    assert lines[-1].startswith("99 of 99")


def test_a_log_is_told_once_in_a_while() -> None:
    with capture_logs() as told:
        report = log_report()
        for second in range(25):
            report(Progress(deleted=second, total=None, seconds=second))
    assert [line["deleted"] for line in told] == [10, 20]
