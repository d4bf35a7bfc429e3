"""What the port's verbs make of records, for stores that replace what is still as it was read.

Such a store reads the record of a key, asks what becomes of it, and puts that in its place as one
step. Where others were faster it reads and asks anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from moorline_sidecar.domain.session import Record, Tombstone
from moorline_sidecar.errors import StoreUnavailable
from moorline_sidecar.stores import transitions
from moorline_sidecar.stores.base import Outcome, Purge, Touch, Write

TRIES: Final = 50
"""Of what others were faster with, each time; a logout that sixteen writers race needs some."""

CHUNK: Final = 64
"""Sessions that a purge has in memory at once."""


class Deleted:
    """What a record becomes that is to be deleted."""


DELETED: Final = Deleted()

After: TypeAlias = Record | Deleted | None
"""What a record becomes; None: it is left alone."""

Decide: TypeAlias = Callable[[str, Record | None], After]
"""What becomes of the record of a key; asked for what is not there, too."""


class Contended(StoreUnavailable):
    """Others were faster each time."""


class Counting:
    """A decision that notes whose records become something else."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self.keys: set[str] = set()

    def __call__(self, key: str, stored: Record | None) -> After:
        after = self._decide(key, stored)
        (self.keys.discard if after is None else self.keys.add)(key)
        return after


def write(writes: Sequence[Write], known: dict[str, Outcome]) -> Decide:
    """Fills `known` with what became of each write, by key."""
    by_key = {each.key: each for each in writes}

    def decide(key: str, stored: Record | None) -> After:
        known[key], after = transitions.written(stored, by_key[key])
        return after

    return decide


def touch(touches: Sequence[Touch]) -> Decide:
    by_key = {each.key: each for each in touches}
    return lambda key, stored: transitions.touched(stored, by_key[key])


def settle(origin: str) -> Decide:
    def decide(_key: str, stored: Record | None) -> After:
        copy = transitions.copy_in(stored, origin)
        return None if copy is None else transitions.settled(copy)

    return decide


def discard(origin: str, version: int) -> Decide:
    def decide(_key: str, stored: Record | None) -> After:
        copy = transitions.copy_in(stored, origin)
        return DELETED if copy is not None and copy.version == version else None

    return decide


def drop_grace(before: int) -> Decide:
    def decide(_key: str, stored: Record | None) -> After:
        if not isinstance(stored, Tombstone) or stored.grace_until is None:
            return None
        return transitions.without_grace(stored) if stored.grace_until < before else None

    return decide


def purge(purge: Purge) -> Decide:
    def decide(_key: str, stored: Record | None) -> After:
        is_due = stored is not None and transitions.is_purgeable(stored, purge)
        return DELETED if is_due else None

    return decide


async def delete_due(
    due: Callable[[], Awaitable[Sequence[str]]], delete: Callable[[Sequence[str]], Awaitable[int]]
) -> int:
    """How many were deleted of the keys that are due, which `due` looks for."""
    for _ in range(TRIES):
        keys = await due()
        deleted = 0
        for first in range(0, len(keys), CHUNK):
            deleted += await delete(keys[first : first + CHUNK])
        # Where none was, others purge the same.
        if deleted or not keys:
            return deleted
    return 0
