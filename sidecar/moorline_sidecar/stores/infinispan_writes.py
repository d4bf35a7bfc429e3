"""Carrying out the port's conditional writes: a record is read, and takes its own place.

Each entry has a version of the server's, by which it is replaced or removed if it is still the one
that was read; else it is read anew. That is the only conditional write that Infinispan does as one
step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from moorline_sidecar.domain.session import Record
from moorline_sidecar.stores import decisions
from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.base import Outcome, Write
from moorline_sidecar.stores.decisions import TRIES, Contended, Decide, Deleted
from moorline_sidecar.stores.infinispan_records import key_of, read, value_of
from moorline_sidecar.stores.infinispan_running import Attempt


async def write(attempt: Attempt, cache: str, writes: Sequence[Write]) -> list[Outcome]:
    """What became of each write, in order."""
    known: dict[str, Outcome] = {}
    keys = dict.fromkeys(each.key for each in writes)
    refused = await replace_all(attempt, cache, keys, decisions.write(writes, known))
    return [Outcome.REFUSED if each.key in refused else known[each.key] for each in writes]


async def replace_all(
    attempt: Attempt, cache: str, keys: Iterable[str], decide: Decide
) -> set[str]:
    """Make of the record of each key what `decide` says, which may be asked repeatedly.

    Returns those that the server has no room for.

    Raises:
        Contended: others were faster each time.
    """
    pending = list(keys)
    refused: set[str] = set()
    for _ in range(TRIES):
        if not pending:
            return refused
        found = await attempt.ask([wire.get(cache, key_of(key)) for key in pending])
        steps: dict[str, wire.Request] = {}
        for key, entry in zip(pending, found, strict=True):
            after = decide(key, read(key, entry.value) if entry.is_done else None)
            if entry.is_done and after is not None:
                steps[key] = _step(cache, key, entry.version, after)
        replies = dict(zip(steps, await attempt.ask(list(steps.values())), strict=True))
        refused |= {key for key, reply in replies.items() if reply.is_error}
        pending = [key for key, reply in replies.items() if not (reply.is_done or reply.is_error)]
    if pending:
        raise Contended("others were faster each time")
    return refused


def _step(cache: str, key: str, version: bytes, after: Record | Deleted) -> wire.Request:
    if isinstance(after, Deleted):
        return wire.remove_if_same(cache, key_of(key), version)
    return wire.replace_if_same(cache, key_of(key), version, value_of(after))
