"""The registry of processes: one file each, in the folder `workers`."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Final, Protocol, TypeVar

import msgspec

from moorline_sidecar.stores.file_calls import Call
from moorline_sidecar.stores.file_format import Unreadable
from moorline_sidecar.stores.file_tree import WORKERS, Tree, is_name, name_of
from moorline_sidecar.stores.registry import MEMBERS_MAX, Member, Registry

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Member).decode

Result = TypeVar("Result")


class Run(Protocol):
    """Carries out a call on a thread, in time, with errors of the disk translated."""

    def __call__(self, operation: Callable[[Tree, Call], Result], /) -> Awaitable[Result]: ...


class FileRegistry(Registry):
    """The files of one store. None is flushed: after a crash of the machine there is nobody."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def beat(self, member: Member) -> None:
        def write(tree: Tree, call: Call) -> None:
            with tree.disk.folder(tree.root, WORKERS) as folder:
                staged = tree.disk.stage(folder, name_of(member.process), _encode(member))
                try:
                    call.begin_applying()
                    tree.disk.publish(staged)
                finally:
                    staged.discard()

        await self._run(write)

    async def members(self, since: int) -> list[Member]:
        def find(tree: Tree, call: Call) -> list[Member]:
            found = (member for _, member in _members(tree, call) if member.beat >= since)
            return list(islice(found, MEMBERS_MAX))

        return await self._run(find)

    async def remove(self, process: str) -> None:
        def remove(tree: Tree, call: Call) -> None:
            call.begin_applying()
            with tree.disk.folder(tree.root, WORKERS) as folder:
                tree.disk.remove(folder, name_of(process))

        await self._run(remove)

    async def remove_stale(self, before: int) -> None:
        def remove(tree: Tree, call: Call) -> None:
            stale = [name for name, member in _members(tree, call) if member.beat < before]
            call.begin_applying()
            with tree.disk.folder(tree.root, WORKERS) as folder:
                for name in stale:
                    tree.disk.remove(folder, name)

        await self._run(remove)


def _members(tree: Tree, call: Call) -> Iterator[tuple[str, Member]]:
    """Those whose files can be read, by the names of these."""
    with tree.disk.folder(tree.root, WORKERS) as folder:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, 2 * MEMBERS_MAX)]
        for name in filter(is_name, names):
            call.check()
            try:
                yield name, _decode(tree.disk.read(folder, name))
            except (OSError, Unreadable, msgspec.DecodeError, UnicodeDecodeError):
                # For people: one that is of no use is as one that is not there.
                continue
