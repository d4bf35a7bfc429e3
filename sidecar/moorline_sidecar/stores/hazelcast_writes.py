"""Carrying out the port's conditional writes: by comparing what is stored as a whole.

A session is read, what the write makes of it is decided here, and it takes the place of what was
read if that is still there; else it is read anew. Whatever changes a session changes its text, and
no text of a session ever comes back, so that comparing texts compares versions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from moorline_sidecar.stores import decisions, transitions
from moorline_sidecar.stores.base import Change, Outcome, Write
from moorline_sidecar.stores.decisions import TRIES, Contended, Decide, Deleted
from moorline_sidecar.stores.hazelcast_errors import FULL
from moorline_sidecar.stores.hazelcast_running import Attempt
from moorline_sidecar.stores.json_records import record_of, text_of


async def write(attempt: Attempt, writes: Sequence[Write]) -> list[Outcome]:
    """What became of each write, in order."""
    known = await _write_unread(attempt, writes)
    keys = dict.fromkeys(each.key for each in writes if each.key not in known)
    refused = await replace_all(attempt, keys, decisions.write(writes, known))
    return [Outcome.REFUSED if each.key in refused else known[each.key] for each in writes]


async def _write_unread(attempt: Attempt, writes: Sequence[Write]) -> dict[str, Outcome]:
    """Those that need no reading: whoever changes a session mostly knows all of what is stored."""
    changes = [each for each in writes if isinstance(each, Change)]
    steps = {}
    for change in changes:
        _, after = transitions.written(change.before, change)
        if after is not None:
            steps[change.key] = text_of(change.before), text_of(after)
    results = await _swap(attempt, steps)
    return {
        key: Outcome.REFUSED if result is None else Outcome.APPLIED
        for key, result in results.items()
        if result is not False
    }


async def replace_all(attempt: Attempt, keys: Iterable[str], decide: Decide) -> set[str]:
    """Make of the record of each key what `decide` says, which may be asked repeatedly.

    Returns those that a member has no room for.

    Raises:
        Contended: others were faster each time.
    """
    pending = list(keys)
    refused: set[str] = set()
    for _ in range(TRIES):
        if not pending:
            return refused
        texts = await attempt.texts(pending)
        steps: dict[str, tuple[str, str | None]] = {}
        for key in pending:
            text = texts.get(key)
            after = decide(key, None if text is None else record_of(key, text))
            if text is not None and after is not None:
                steps[key] = text, None if isinstance(after, Deleted) else text_of(after)
        results = await _swap(attempt, steps)
        refused |= {key for key, result in results.items() if result is None}
        pending = [key for key, result in results.items() if result is False]
    if pending:
        raise Contended("others were faster each time")
    return refused


async def _swap(
    attempt: Attempt, steps: Mapping[str, tuple[str, str | None]]
) -> dict[str, bool | None]:
    """Whether each key still had the first text, and has the second now; None: there is no room.

    What goes wrong with one is raised after all are through.
    """

    async def swap(key: str, before: str, after: str | None) -> bool | None:
        try:
            if after is None:
                return await attempt.remove(key, before)
            return await attempt.replace(key, before, after)
        except FULL:
            return None

    results = await asyncio.gather(
        *(swap(key, before, after) for key, (before, after) in steps.items()),
        return_exceptions=True,
    )
    found: dict[str, bool | None] = {}
    for key, result in zip(steps, results, strict=True):
        if isinstance(result, BaseException):
            raise result
        found[key] = result
    return found
