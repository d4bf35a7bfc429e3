"""The process dies in the middle of writes, by kill -9, at each step of one or at any moment."""

import asyncio
import sys
from pathlib import Path

import pytest
from moorline_sidecar.domain.session import Session, Tombstone
from moorline_sidecar.stores.base import Outcome
from moorline_sidecar.stores.file import FileStore
from moorline_sidecar.stores.file_tree import name_of

from tests.contract.sessions import a_session, an_end, changed, stored, written
from tests.sidecar.stores.crashes import KEYS, check

ROOT = Path(__file__).parents[3]

# Dies before the nth step of a write, for each n, in a directory of its own, until one is whole.
DYING = """
import asyncio, itertools, os, signal, sys
from moorline_sidecar.stores.file import FileStore
from tests.sidecar.stores.step_disk import StepDisk
from tests.sidecar.stores.test_file_crash import BEFORE, WRITES

async def write(directory, what, steps):
    disk = StepDisk()
    store = FileStore(directory, disk)
    await store.prepare()
    await store.insert(BEFORE)

    def die(step):
        nonlocal steps
        steps -= 1
        if steps < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    disk.before = die
    await WRITES[what](store)

for steps in itertools.count():
    child = os.fork()
    if not child:
        asyncio.run(write(f"{sys.argv[1]}/{steps}", sys.argv[2], steps))
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
print(steps)
"""

# Writes to each session over and over, and says which version is acknowledged.
WRITER = """
import asyncio, sys
from moorline_sidecar.stores.file import FileStore
from tests.sidecar.stores.crashes import begun, write_until_it_fails

async def main():
    store = FileStore(sys.argv[1])
    sessions = await begun(store)
    async with asyncio.TaskGroup() as group:
        for session in sessions[:4]:
            group.create_task(write_until_it_fails(store, [session], tell=True))
        group.create_task(write_until_it_fails(store, sessions[4:], tell=True))

asyncio.run(main())
"""

BEFORE = a_session("session-1", principal="ada", write_id="before")
NEW = a_session("new", principal="ada", write_id="new")
CHANGE = changed(BEFORE, principal="grace", contexts={"/": {"x": 1}}, write_id="change")
END = an_end("session-1", write_id="end")
WRITES = {
    "insert": lambda store: store.insert(NEW),
    "change": lambda store: store.write([CHANGE]),
    "end": lambda store: store.write([END]),
}
STEPS = {"insert": 6, "change": 7, "end": 5}
"""At least so many: mark, flush, write, flush, put in place, flush, and remove the old mark."""


@pytest.mark.parametrize("what", WRITES)
async def test_whoever_dies_at_a_step_of_a_write_leaves_the_old_or_the_new(
    tmp_path: Path, what: str
) -> None:
    runner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DYING, tmp_path, what, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await runner.communicate()

    steps = int(output)
    assert steps >= STEPS[what]
    found = [await after_the_death(tmp_path / str(step), what) for step in range(steps)]
    # The moment from which on it is the new one is the same for all that looks at it.
    assert found == sorted(found)
    assert found[0] is False


async def after_the_death(directory: Path, what: str) -> bool:
    """Whether the write was applied."""
    store = FileStore(str(directory))
    try:
        was_applied = await is_applied(store, what)
        listed = {
            name: [summary.key for summary in await store.by_principal(name, None, 10)]
            for name in ("ada", "grace")
        }
        assert listed == await as_stored(store)
        assert await store.count() == len(await store.load(["session-1", "new"]))
        # The lock has gone with the process, and the write can be made, or is known.
        if what == "insert" and not was_applied:
            await store.insert(NEW)
        elif what != "insert":
            assert await written(store, CHANGE if what == "change" else END) is Outcome.APPLIED
        assert await is_applied(store, what)
    finally:
        await store.close()
    return was_applied


async def is_applied(store: FileStore, what: str) -> bool:
    if what == "insert":
        new = await stored(store, "new")
        assert new in (None, NEW)
        return new is not None
    record = await stored(store)
    if isinstance(record, Tombstone):
        assert (what, record.write_id) == ("end", "end")
        return True
    assert record in (BEFORE, CHANGE.after)
    return record == CHANGE.after


async def as_stored(store: FileStore) -> dict[str, list[str]]:
    records = (await store.load(["new", "session-1"])).values()
    sessions = [record for record in records if isinstance(record, Session)]
    return {
        name: [session.key for session in sessions if session.principal == name]
        for name in ("ada", "grace")
    }


async def test_a_process_that_dies_at_any_moment_leaves_the_files_whole(tmp_path: Path) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, tmp_path, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    acknowledged: dict[str, int] = {}
    async with asyncio.timeout(60):
        while min(acknowledged.get(key, 0) for key in KEYS) < 10:
            key, version = (await writer.stdout.readline()).split()
            acknowledged[key.decode()] = int(version)
    writer.kill()
    # What it had said by then is acknowledged, too; of the last line maybe only a part is there.
    for line in (await writer.stdout.read()).splitlines(keepends=True):
        if line.endswith(b"\n"):
            key, version = line.split()
            acknowledged[key.decode()] = int(version)
    await writer.wait()

    store = FileStore(str(tmp_path))
    found = await store.load(KEYS)
    for name, last in acknowledged.items():
        check(found.get(name), last)
    await store.close()


async def test_half_a_file_that_was_being_written_is_nobodys(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    await store.prepare()
    await store.insert(BEFORE)
    name = name_of(BEFORE.key)
    (tmp_path / "sessions" / name[:2] / f"{name}.0123456789ab.new").write_bytes(b"moorl")

    assert await store.load([BEFORE.key]) == {BEFORE.key: BEFORE}
    assert await store.count() == 1
    assert await written(store, CHANGE) is Outcome.APPLIED
    await store.close()
