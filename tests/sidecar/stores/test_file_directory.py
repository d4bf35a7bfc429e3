"""What lies in the directory of a store of files, whoever put it there."""

import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.errors import StoreRefused, StoreUnavailable
from moorline_sidecar.stores import file_searches
from moorline_sidecar.stores.base import Outcome, Purge, PurgeKind
from moorline_sidecar.stores.file import FileStore
from moorline_sidecar.stores.file_disk import Disk
from moorline_sidecar.stores.file_format import Due, Kind, due_by, time_of
from moorline_sidecar.stores.file_registry import FileRegistry
from moorline_sidecar.stores.file_tree import name_of

from tests.contract.sessions import (
    T0,
    a_member,
    a_session,
    an_end,
    inserted,
    stored,
    with_attributes,
    written,
)
from tests.sidecar.stores.step_disk import files_in

ENDED: Final = Purge(kind=PurgeKind.INVALID, before=T0 + 9_000, now=T0 + 9_000)
IDLE: Final = Purge(kind=PurgeKind.VALID, before=T0 + 9_000, now=T0 + 9_000_000)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FileStore]:
    store = FileStore(str(tmp_path / "sessions"))
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


def place_of(directory: Path, key: str) -> Path:
    name = name_of(key)
    return directory / "sessions" / name[:2] / name


def replace_by_link(place: Path, elsewhere: Path) -> None:
    place.rename(elsewhere)
    place.symlink_to(elsewhere)


@contextmanager
def out_of_the_way(directory: Path, away: Path) -> Iterator[None]:
    directory.rename(away)
    yield
    directory.rmdir()
    away.rename(directory)


def make_folder(path: Path) -> None:
    path.mkdir()


def _cut(place: Path, size: int) -> None:
    place.write_bytes(place.read_bytes()[:size])


def _flip(place: Path, at: int) -> None:
    data = bytearray(place.read_bytes())
    data[at] ^= 1
    place.write_bytes(data)


def _instead(place: Path, make: Callable[[Path], object]) -> None:
    place.unlink()
    make(place)


def _grow(place: Path) -> None:
    with place.open("r+b") as file:
        file.truncate(1 << 40)


DAMAGES: Final[dict[str, Callable[[Path], object]]] = {
    "empty": lambda place: _cut(place, 0),
    "cut in its first line": lambda place: _cut(place, 20),
    "cut in its head": lambda place: _cut(place, 100),
    "cut at its end": lambda place: _cut(place, place.stat().st_size - 5),
    "a bit of its first line": lambda place: _flip(place, 25),
    "a bit of its head": lambda place: _flip(place, 80),
    "a bit of its attributes": lambda place: _flip(place, -10),
    "garbage": lambda place: place.write_bytes(os.urandom(5_000)),
    "far too large": _grow,
    "another session's": lambda place: (
        place.write_bytes(place_of(place.parents[2], "other").read_bytes()) and None
    ),
    "a folder": lambda place: _instead(place, Path.mkdir),
    "a pipe": lambda place: _instead(place, os.mkfifo),
    "a link": lambda place: _instead(
        place, lambda link: link.symlink_to(place_of(place.parents[2], "other"))
    ),
    "a link to nothing": lambda place: _instead(
        place, lambda link: link.symlink_to("/nowhere/at/all")
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_file_that_cannot_be_read_is_as_none_and_hides_no_other(
    store: FileStore, directory: Path, damage: Callable[[Path], object]
) -> None:
    other = await inserted(store, "other", principal="ada")
    session = await inserted(store, "damaged", principal="ada")
    damage(place_of(directory, "damaged"))

    assert await store.load(["damaged", "other"]) == {"other": other}
    assert await written(store, with_attributes(session, {"a": 1})) is Outcome.ABSENT
    assert await written(store, an_end("damaged")) is Outcome.ABSENT
    # It may have been the end of a session: no other takes its place.
    with pytest.raises(StoreRefused, match="move it away"):
        await store.insert(a_session("damaged"))
    assert [each.key for each in await store.expired(T0 + 9_000_000, 0)][-1:] == ["other"]
    assert await written(store, an_end("other")) is Outcome.APPLIED
    assert await store.purge(ENDED, 10) == 1
    assert await store.purge(ENDED, 10) == 0
    assert place_of(directory, "damaged").is_symlink() or place_of(directory, "damaged").exists()


@pytest.mark.parametrize(
    "key",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        ".",
        "",
        "a/b",
        "a\0b",
        "x" * 5_000,
        "é😀",
        "Key",
        "key",
    ],
)
async def test_a_key_is_any_text_and_never_a_path(
    store: FileStore, tmp_path: Path, key: str
) -> None:
    session = await inserted(store, key, principal=f"../{key}")

    assert await stored(store, key) == session
    assert [each.key for each in await store.by_principal(f"../{key}", None, 9)] == [key]
    assert [path.name for path in files_in(tmp_path, "*")] == ["sessions"]
    names = [path.name for path in files_in(tmp_path, "sessions/sessions/*/*")]
    assert names == [name_of(key)]


async def test_a_folder_that_is_a_link_is_not_followed(
    store: FileStore, directory: Path, tmp_path: Path
) -> None:
    await inserted(store)
    replace_by_link(place_of(directory, "session-1").parent, tmp_path / "elsewhere")

    with pytest.raises(StoreUnavailable, match=r"no folder|symbolic link"):
        await store.load(["session-1"])


async def test_a_directory_that_is_gone_is_out_of_reach_and_not_empty(
    store: FileStore, directory: Path, tmp_path: Path
) -> None:
    session = await inserted(store)
    with out_of_the_way(directory, tmp_path / "away"):
        with pytest.raises(StoreUnavailable, match="a folder is missing"):
            await store.load(["session-1"])
        make_folder(directory)
        # As a volume that is not mounted.
        with pytest.raises(StoreUnavailable, match="a folder is missing"):
            await store.load(["session-1"])

    assert await stored(store) == session


async def test_files_whose_times_were_lost_are_found_all_the_same(
    store: FileStore, directory: Path
) -> None:
    await inserted(store, "session", expiry=T0 + 1)
    await inserted(store, "copy", renew_of="origin")
    await inserted(store, "ended")
    await written(store, an_end("ended"))
    for path in files_in(directory, "sessions/*/*"):
        os.utime(path, (T0 / 1000, T0 / 1000 + 0.123456))

    assert [each.key for each in await store.expired(T0 + 2, 0)] == ["session"]
    assert [each.key for each in await store.copies(T0 + 1, 0)] == ["copy"]
    assert await store.purge(ENDED, 10) == 1
    # From then on they tell it again.
    assert due_by(place_of(directory, "session").stat().st_mtime_ns) == Due(Kind.SESSION, T0 + 1)


async def test_a_purge_removes_what_writers_left_that_died(
    store: FileStore, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await inserted(store)
    left = place_of(directory, "session-1").with_name(f"{name_of('session-1')}.0123.new")
    foreign = left.with_name("README")
    left.touch()
    foreign.touch()
    await store.purge(ENDED, 10)
    assert left.exists()

    monkeypatch.setattr(file_searches, "ABANDONED_SECONDS", -60.0)
    await store.purge(ENDED, 10)

    assert not left.exists()
    assert foreign.exists()
    assert await stored(store) == session


async def test_a_mark_that_somebody_left_behind_hides_nothing_and_goes(
    store: FileStore, directory: Path
) -> None:
    await inserted(store, "hers", principal="ada")
    await inserted(store, "his", principal="grace")
    (mark,) = (
        path for path in files_in(directory, "principals/*/*") if name_of("his") in path.name
    )
    (hers,) = (
        path for path in files_in(directory, "principals/*/*") if name_of("hers") in path.name
    )
    stale = hers.with_name(hers.name.replace(name_of("hers"), name_of("his")))
    stale.touch()

    assert [each.key for each in await store.by_principal("ada", None, 9)] == ["hers"]

    assert not stale.exists()
    assert mark.exists()
    assert [each.key for each in await store.by_principal("grace", None, 9)] == ["his"]


async def test_a_search_that_is_out_of_time_goes_on_in_the_next(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        await inserted(store, str(n), expiry=T0 + n)
    monkeypatch.setattr(time, "monotonic", _every_call_a_tenth())

    found: set[str] = set()
    for _ in range(40):
        found.update(each.key for each in await store.expired(T0 + 100, 0))

    assert len(found) == 20


def _every_call_a_tenth() -> Callable[[], float]:
    calls = iter(range(1, 1_000_000))
    return lambda: next(calls) / 10


async def test_a_purge_in_batches_deletes_all_and_ends(store: FileStore) -> None:
    for n in range(30):
        await inserted(store, str(n), principal="ada")
    # Due by its time alone: it was used since.
    await inserted(store, "used", accessed=T0 + 9_000, expiry=T0 + 1)

    deleted = []
    while batch := await store.purge(IDLE, 7):
        deleted.append(batch)

    assert deleted == [7, 7, 7, 7, 2]
    assert await store.count() == 1
    assert await store.by_principal("ada", None, 9) == []


async def test_a_copy_that_was_saved_after_its_last_use_is_purged_by_that(store: FileStore) -> None:
    await inserted(store, expiry=None, last_saved=IDLE.now + 1, renew_of="origin")

    assert await store.purgeable(IDLE, 0) == 1
    assert await store.purge(IDLE, 10) == 1


class Refusing(Disk):
    """Fails when a folder is made."""

    def __init__(self, number: int) -> None:
        self._number = number

    def make_folder(self, parent: int, name: str) -> None:
        del parent, name
        raise OSError(self._number, os.strerror(self._number))


@pytest.mark.parametrize(
    ("number", "reason", "advice"),
    [
        pytest.param(errno.EROFS, "AuthenticationFailed", "read-only", id="read-only"),
        pytest.param(errno.EACCES, "AuthenticationFailed", "fsGroup", id="not its owner"),
        pytest.param(errno.ENOSPC, "Unreachable", "make room", id="full"),
        pytest.param(errno.EDQUOT, "Unreachable", "quota", id="quota"),
        pytest.param(errno.EIO, "Unreachable", "the disk fails", id="broken"),
        pytest.param(errno.ENOLCK, "UnsupportedVersion", "no locks", id="no locks"),
    ],
)
async def test_the_check_says_what_to_do(
    tmp_path: Path, number: int, reason: str, advice: str
) -> None:
    store = FileStore(str(tmp_path), Refusing(number))

    found = await store.check()

    assert found.reason == reason
    assert advice in found.detail
    assert str(tmp_path) in found.detail
    await store.close()


async def test_the_check_names_a_directory_that_is_not_there(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path / "not" / "there"))

    found = await store.check()

    assert (found.reason, found.is_ready) == ("Unreachable", False)
    assert "mount the volume" in found.detail
    await store.close()


async def test_the_check_refuses_a_directory_of_a_newer_version(
    store: FileStore, directory: Path
) -> None:
    (directory / "format").write_text("moorline sessions 2\n")

    found = await store.check()

    assert found.reason == "UnsupportedVersion"
    assert "another version" in found.detail


async def test_the_check_makes_the_directory_and_nothing_twice(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path / "new"))

    first, second = await store.check(), await store.check()

    assert first.is_ready
    assert first.indexes == second.indexes == ("sessions", "principals", "workers")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    await store.close()


async def test_a_damaged_entry_of_a_process_hides_no_other(
    store: FileStore, directory: Path
) -> None:
    registry: FileRegistry = store.registry()
    for process in ("one", "two", "three"):
        await registry.beat(a_member(process))
    (directory / "workers" / name_of("two")).write_bytes(b"{")

    found = await registry.members(0)

    assert sorted(member.process for member in found) == ["one", "three"]


@given(kind=st.sampled_from(list(Kind)[1:]), at=st.integers(0, 2_147_483_647_999))
def test_a_time_tells_what_it_was_made_of(kind: Kind, at: int) -> None:
    assert due_by(time_of(Due(kind, at))) == Due(kind, at)
    # Where the file system keeps milliseconds, or seconds, the kind is unknown and no other.
    assert due_by(time_of(Due(kind, at)) // 1_000_000 * 1_000_000).kind is Kind.UNKNOWN
