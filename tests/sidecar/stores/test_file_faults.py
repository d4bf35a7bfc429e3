"""What a store of files answers when the disk fails, is full or hangs, or others are in the way."""

import asyncio
import errno
import fcntl
import os
import struct
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from moorline_sidecar.domain.session import Tombstone
from moorline_sidecar.errors import (
    OutcomeUnknown,
    StoreRefused,
    StoreUnavailable,
)
from moorline_sidecar.stores.base import Outcome, Purge, PurgeKind
from moorline_sidecar.stores.file import FileStore
from moorline_sidecar.stores.file_tree import name_of

from tests.contract.sessions import (
    T0,
    a_session,
    a_touch,
    an_end,
    inserted,
    stored,
    stored_session,
    with_attributes,
    written,
)
from tests.sidecar.stores import failing
from tests.sidecar.stores.step_disk import FullDisk, StepDisk, files_in, nothing

ROOT = Path(__file__).parents[3]

Call: TypeAlias = Callable[[FileStore], Awaitable[object]]

NEW: Final = a_session("new", principal="ada")
SESSIONS: Final = [a_session(str(n), principal="ada") for n in range(3)]
COPY: Final = a_session("copy", renew_of="origin")
KEYS: Final = ["new", "0", "1", "2", "copy"]
WRITES: Final[dict[str, Call]] = {
    "insert": lambda store: store.insert(NEW),
    "one change": lambda store: store.write([with_attributes(SESSIONS[0], {"a": 1})]),
    "an end": lambda store: store.write([an_end("0")]),
    "many": lambda store: store.write([with_attributes(s, {"a": 1}) for s in SESSIONS]),
    "touch": lambda store: store.touch([a_touch(s, T0 + 9) for s in SESSIONS]),
    "settle": lambda store: store.settle("copy", "origin"),
}
writes = pytest.mark.parametrize("call", WRITES.values(), ids=WRITES.keys())

# Adds one to a number of a session so many times, whoever else does.
COUNTING = """
import asyncio, sys
from contextlib import suppress
from moorline_sidecar.errors import StoreUnavailable
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.file import FileStore
from tests.contract.sessions import stored_session, with_attributes, written

async def main():
    store = FileStore(sys.argv[1])
    done = 0
    while done < int(sys.argv[2]):
        session = await stored_session(store)
        change = with_attributes(session, {"n": session.contexts["/"]["n"] + 1})
        # Where the disk is slow, its turn comes too late: then it was surely not applied.
        with suppress(StoreUnavailable):
            done += await written(store, change) is Outcome.APPLIED

asyncio.run(main())
"""

# Writes until the session has ended, and once more then.
WRITING = """
import asyncio, sys
from moorline_sidecar.domain.session import Session
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.file import FileStore
from tests.contract.sessions import stored, with_attributes, written

async def main():
    store = FileStore(sys.argv[1])
    print("begun", flush=True)
    while isinstance(record := await stored(store), Session):
        last = with_attributes(record, {"a": 1})
        await written(store, last)
    assert await written(store, with_attributes(last.after, {"a": 2})) is Outcome.ENDED

asyncio.run(main())
"""

# Holds the lock of a session until it dies.
HOLDING = """
import os, sys, time
from moorline_sidecar.stores.file_calls import Call
from moorline_sidecar.stores.file_locks import holding

root = os.open(sys.argv[1], os.O_RDONLY)
with holding(root, [sys.argv[2]], Call(10)):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def disk() -> StepDisk:
    return StepDisk()


@pytest.fixture
async def store(tmp_path: Path, disk: StepDisk) -> AsyncIterator[FileStore]:
    store = FileStore(str(tmp_path), disk)
    await store.prepare()
    for session in (*SESSIONS, COPY):
        await store.insert(session)
    yield store
    await store.close()


@contextmanager
def held(directory: Path, key: str) -> Iterator[None]:
    """The lock of a session, as another process has it."""
    with (directory / "locks").open("r+b") as file:
        place = int(name_of(key)[:15], 16)
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        yield


@writes
@pytest.mark.parametrize("step", ["stage", "publish"])
async def test_a_disk_that_fails_before_a_file_is_in_its_place_applies_nothing(
    store: FileStore, disk: StepDisk, call: Call, step: str, tmp_path: Path
) -> None:
    before = await store.load(KEYS)

    with disk.failing(step, errno.EIO), pytest.raises((StoreUnavailable, OutcomeUnknown)) as raised:
        await call(store)

    # From the first one on that is put in its place nobody can say.
    assert raised.type is (StoreUnavailable if step == "stage" else OutcomeUnknown)
    assert await store.load(KEYS) == before
    assert not files_in(tmp_path, "sessions/*/*.new")


@writes
async def test_a_flush_that_fails_at_the_end_leaves_the_outcome_open(
    store: FileStore, disk: StepDisk, call: Call
) -> None:
    before = await store.load(KEYS)
    was_published = threading.Event()

    def fail_at_the_end(step: str) -> None:
        if step == "publish":
            was_published.set()
        if step == "flush" and was_published.is_set():
            raise OSError(errno.EIO, "Input/output error")

    disk.before = fail_at_the_end
    with pytest.raises(OutcomeUnknown):
        await call(store)

    disk.before = nothing
    assert await store.load(KEYS) != before


async def test_a_write_whose_outcome_was_open_is_known_again(
    store: FileStore, disk: StepDisk
) -> None:
    changes = [with_attributes(session, {"a": 1}) for session in SESSIONS]
    published: list[str] = []

    def fail_at_the_end(step: str) -> None:
        if step == "publish":
            published.append(step)
        if step == "flush" and published:
            raise OSError(errno.EIO, "Input/output error")

    disk.before = fail_at_the_end
    with pytest.raises(OutcomeUnknown):
        await store.write(changes)

    disk.before = nothing
    assert await store.write(changes) == [Outcome.APPLIED] * 3
    assert list((await store.load(["0", "1", "2"])).values()) == [c.after for c in changes]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        pytest.param("stage", StoreUnavailable, id="before anything is in its place"),
        pytest.param("publish", OutcomeUnknown, id="when it may be"),
    ],
)
async def test_a_disk_that_hangs_is_given_up_in_time(
    store: FileStore, disk: StepDisk, step: str, error: type[Exception]
) -> None:
    goes_on, has_gone_on = threading.Event(), threading.Event()
    change = with_attributes(SESSIONS[0], {"a": 1})

    def hang(found: str) -> None:
        if found == step:
            goes_on.wait()
            has_gone_on.set()

    disk.before = hang
    began = time.monotonic()
    with pytest.raises(error):
        await store.write([change])
    assert time.monotonic() - began < 5
    # Others are served meanwhile, but for the session that it has locked.
    assert await store.load(["0"]) == {"0": SESSIONS[0]}
    with pytest.raises(StoreUnavailable):
        await written(store, an_end("0"))

    goes_on.set()
    disk.before = nothing
    assert await asyncio.to_thread(has_gone_on.wait, 10)
    if error is StoreUnavailable:
        assert await written(store, an_end("0")) is Outcome.APPLIED
        assert isinstance(await stored(store, "0"), Tombstone)
    else:
        assert await written(store, change) is Outcome.APPLIED


async def test_a_call_ends_within_its_time_while_others_hold_what_it_wants(
    store: FileStore, tmp_path: Path
) -> None:
    before = await store.load(KEYS)
    with held(tmp_path, "0"):
        began = time.monotonic()
        results = await asyncio.gather(
            *(store.write([with_attributes(session, {"a": 1})]) for session in SESSIONS[:1]),
            store.write([with_attributes(session, {"b": 1}) for session in SESSIONS]),
            return_exceptions=True,
        )
        seconds = time.monotonic() - began

    assert [type(result) for result in results] == [StoreUnavailable] * 2
    assert seconds < 5
    assert await store.load(KEYS) == before
    assert await written(store, with_attributes(SESSIONS[0], {"a": 1})) is Outcome.APPLIED


async def test_a_lock_is_gone_with_its_process(store: FileStore, tmp_path: Path) -> None:
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDING, tmp_path, name_of("0")),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    write = asyncio.create_task(written(store, with_attributes(SESSIONS[0], {"a": 1})))

    holder.kill()

    assert await write is Outcome.APPLIED
    await holder.wait()


async def test_calls_that_are_given_up_at_any_moment_apply_whole_or_not_at_all(
    store: FileStore,
) -> None:
    await failing.check_given_up(store, step_seconds=0.0002)


async def test_writers_of_several_processes_lose_nothing(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    await store.prepare()
    await inserted(store, contexts={"/": {"n": 0}})

    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", COUNTING, tmp_path, "30", cwd=ROOT
        )
        for _ in range(3)
    ]

    assert [await writer.wait() for writer in writers] == [0, 0, 0]
    session = await stored_session(store)
    assert (session.contexts["/"]["n"], session.version) == (90, 91)
    await store.close()


async def test_a_logout_beats_the_writers_of_another_process(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    await store.prepare()
    await inserted(store, contexts={"/": {}})
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITING, tmp_path, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    assert await writer.stdout.readline() == b"begun\n"
    async with asyncio.timeout(60):
        while (await stored_session(store)).version < 5:
            pass

    # Where the disk is slow, the writer may be faster each time for as long as a call takes.
    end = an_end()
    assert await failing.in_time(lambda: written(store, end)) is Outcome.APPLIED

    ended = await stored(store)
    assert await writer.wait() == 0
    assert isinstance(ended, Tombstone)
    assert await stored(store) == ended
    await store.close()


async def test_a_full_disk_takes_no_session_but_ends_them(tmp_path: Path) -> None:
    disk = FullDisk()
    store = FileStore(str(tmp_path), disk)
    await store.prepare()
    for session in SESSIONS:
        await store.insert(session)
    disk.is_full = True

    with pytest.raises(StoreRefused, match="the disk is full"):
        await store.insert(NEW)
    grown = with_attributes(SESSIONS[0], {"a": 1})
    assert await store.write([grown, an_end("1")]) == [Outcome.REFUSED, Outcome.APPLIED]
    await store.touch([a_touch(SESSIONS[0], T0 + 9)])

    # Who starts now has the same.
    assert await store.prepare()
    found = await store.load(KEYS)
    assert (found["0"], found["2"]) == (SESSIONS[0], SESSIONS[2])
    assert isinstance(found["1"], Tombstone)
    assert [each.key for each in await store.by_principal("ada", None, 9)] == ["0", "2"]
    assert not files_in(tmp_path, "sessions/*/*.new")
    assert len(files_in(tmp_path, "reserve/*")) == 15
    # The purge makes room, and the reserve is there again.
    disk.is_full = False
    purge = Purge(kind=PurgeKind.INVALID, before=T0 + 9_000, now=T0 + 9_000)
    assert await store.purge(purge, 10) == 1
    assert await store.purge(purge, 10) == 0
    assert len(files_in(tmp_path, "reserve/*")) == 16
    await store.close()


async def test_what_is_too_large_for_the_disk_fails_alone(store: FileStore, disk: StepDisk) -> None:
    changes = [with_attributes(session, {"a": 1}) for session in SESSIONS]
    places: list[str] = []

    def refuse_the_second(step: str) -> None:
        places.append(step)
        if step == "stage" and places.count("stage") == 2:
            raise OSError(errno.EFBIG, "File too large")

    disk.before = refuse_the_second
    assert await store.write(changes) == [Outcome.APPLIED, Outcome.TOO_LARGE, Outcome.APPLIED]

    disk.before = nothing
    found = await store.load(["0", "1", "2"])
    assert list(found.values()) == [changes[0].after, SESSIONS[1], changes[2].after]
