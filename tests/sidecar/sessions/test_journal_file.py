"""The file of kept changes: whole records or none, for one process, read by nobody else."""

import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.sessions.journal_file import FILE_NAME, MAGIC, JournalFile, JournalFull
from structlog.testing import capture_logs

RECORDS = [b"one", b"two" * 100, b"three"]


async def written(folder: Path, records: list[bytes]) -> Path:
    """The file with these records, closed."""
    file = JournalFile.open(str(folder))
    for record in records:
        await file.append(record)
    await file.close()
    return folder / FILE_NAME


async def left_in(folder: Path) -> list[bytes]:
    """What a process that starts now finds."""
    file = JournalFile.open(str(folder))
    await file.close()
    return list(file.records)


@contextmanager
def full_beyond(size: int) -> Iterator[None]:
    """No file of this process may grow beyond it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_what_was_appended_is_there_for_the_next_process(tmp_path: Path) -> None:
    await written(tmp_path, RECORDS)
    assert await left_in(tmp_path) == RECORDS
    await written(tmp_path, [b"four"])
    assert await left_in(tmp_path) == [*RECORDS, b"four"]


async def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch(0o666)
    path = await written(tmp_path, RECORDS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 12])
async def test_a_torn_tail_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = await written(tmp_path, RECORDS)
    path.write_bytes(path.read_bytes()[:-cut])
    assert await left_in(tmp_path) == RECORDS[:-1]
    await written(tmp_path, [b"after"])
    assert await left_in(tmp_path) == [*RECORDS[:-1], b"after"]


@pytest.mark.parametrize(
    "content", [b"", MAGIC[:5], MAGIC, MAGIC + b"\0" * 100, b"\0" * 19, b"\0" * 50]
)
async def test_what_a_crash_at_the_beginning_leaves_is_an_empty_journal(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert await left_in(tmp_path) == []
    assert (tmp_path / FILE_NAME).read_bytes() == MAGIC


async def test_a_damaged_record_ends_what_is_believed(tmp_path: Path) -> None:
    path = await written(tmp_path, RECORDS)
    content = bytearray(path.read_bytes())
    content[len(MAGIC) + 8 + len(RECORDS[0]) + 8 + 50] ^= 1
    path.write_bytes(content)
    assert await left_in(tmp_path) == RECORDS[:1]


async def test_it_is_for_one_process_at_a_time(tmp_path: Path) -> None:
    file = JournalFile.open(str(tmp_path))
    with pytest.raises(ConfigurationError, match="another process"):
        JournalFile.open(str(tmp_path))
    await file.close()
    assert await left_in(tmp_path) == []


async def test_another_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"the only copy of something")
    with pytest.raises(ConfigurationError, match="is no journal"):
        JournalFile.open(str(tmp_path))
    assert (tmp_path / FILE_NAME).read_bytes() == b"the only copy of something"


async def test_a_folder_that_cannot_be_used_is_a_mistake_in_the_configuration(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigurationError, match="MOORLINE_JOURNAL"):
        JournalFile.open(str(tmp_path / "missing"))


async def test_a_full_disk_refuses_and_leaves_what_was_there(tmp_path: Path) -> None:
    file = JournalFile.open(str(tmp_path))
    await file.append(b"before")
    with full_beyond(file.size + 500):
        with pytest.raises(JournalFull):
            await file.append(b"x" * 1_000)
        await file.append(b"small")
    await file.append(b"y" * 1_000)
    await file.close()
    assert await left_in(tmp_path) == [b"before", b"small", b"y" * 1_000]


async def test_a_disk_that_is_full_at_the_start_refuses_until_it_is_not(tmp_path: Path) -> None:
    with full_beyond(4):
        file = JournalFile.open(str(tmp_path))
        with pytest.raises(JournalFull):
            await file.append(b"no")
    await file.append(b"yes")
    await file.close()
    assert await left_in(tmp_path) == [b"yes"]


async def test_what_is_cut_off_is_told(tmp_path: Path) -> None:
    path = await written(tmp_path, RECORDS)
    content = bytearray(path.read_bytes())
    content[len(MAGIC) + 8] ^= 1
    path.write_bytes(content)
    with capture_logs() as logs:
        assert await left_in(tmp_path) == []
    assert [(entry["log_level"], entry["bytes"]) for entry in logs] == [
        ("warning", len(content) - len(MAGIC))
    ]


async def test_when_all_is_stored_it_is_emptied(tmp_path: Path) -> None:
    file = JournalFile.open(str(tmp_path))
    await file.append(b"stored")
    file.clear()
    await file.append(b"later")
    await file.close()
    assert await left_in(tmp_path) == [b"later"]
