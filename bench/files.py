"""What a store of files reads and writes a second: `python -m bench.files`.

Beside it the file system alone, by as many threads: a file of as many bytes as the session has,
read; and written beside, flushed, put in place of the old one, and its folder flushed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from moorline_sidecar.stores.file import FileStore

from bench.sql import AT_ONCE, ATTRIBUTES, BATCH, BYTES, SESSIONS, Call, Sessions, rate, show

CONTENT: Final = b"x" * (BYTES * ATTRIBUTES)


def _read(folder: Path, number: int) -> None:
    (folder / str(number)).read_bytes()


def _write(folder: Path, number: int) -> None:
    new = folder / f"{number}.new"
    with new.open("wb") as file:
        file.write(CONTENT)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / str(number))
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _raw(folder: Path, threads: ThreadPoolExecutor, *, writes: bool) -> Call:
    work = _write if writes else _read

    async def call(n: int) -> int:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads, work, folder, n % SESSIONS)
        return 1

    return call


async def measure(folder: Path, seconds: float) -> None:
    """Print the rates."""
    store = FileStore(str(folder / "store"))
    await store.prepare()
    sessions = Sessions(store)
    await sessions.fill()
    for title, call in {
        "loads": sessions.load(1),
        f"loads by {BATCH}": sessions.load(BATCH),
        "writes": sessions.write(1),
        f"writes by {BATCH}": sessions.write(BATCH),
    }.items():
        show(title, "sessions", await rate(call, seconds))
    await store.close()
    raw = folder / "raw"
    raw.mkdir()
    for number in range(SESSIONS):
        (raw / str(number)).write_bytes(CONTENT)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        show("raw reads", "files", await rate(_raw(raw, threads, writes=False), seconds))
        show("raw writes", "files", await rate(_raw(raw, threads, writes=True), seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--folder", help="on the disk to measure; else that of temporary files")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each rate")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        import uvloop  # noqa: PLC0415 as the sidecar does

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(Path(folder), arguments.seconds))


if __name__ == "__main__":
    main()
