"""Carrying out the port's conditional writes: by comparing what is stored as a whole.

A session is read, what the write makes of it is decided here, and it takes the place of what was
read if that is still there; else it is read anew. Whatever changes a session changes its text, and
no text of a session ever comes back, so that comparing texts compares versions. What gives a
session another version, or ends or deletes it, is announced before it is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from moorline_sidecar.stores import decisions, transitions
from moorline_sidecar.stores.base import Change, Outcome, Write
from moorline_sidecar.stores.decisions import TRIES, Contended, Decide, Deleted
from moorline_sidecar.stores.hazelcast_announcements import Step, step_of
from moorline_sidecar.stores.hazelcast_errors import FULL, NOT_BEGUN
from moorline_sidecar.stores.hazelcast_running import Attempt, GivenUp
from moorline_sidecar.stores.json_records import record_of, text_of

_NEVER: Final = (*NOT_BEGUN, GivenUp)
"""It was surely not applied, and will not be."""


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
            text = text_of(change.before)
            steps[change.key] = step_of(text, change.before, after, text_of(after))
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
        steps: dict[str, Step] = {}
        for key in pending:
            text = texts.get(key)
            stored = None if text is None else record_of(key, text)
            after = decide(key, stored)
            if text is not None and stored is not None and after is not None:
                to_be = None if isinstance(after, Deleted) else text_of(after)
                steps[key] = step_of(text, stored, after, to_be)
        results = await _swap(attempt, steps)
        refused |= {key for key, result in results.items() if result is None}
        pending = [key for key, result in results.items() if result is False]
    if pending:
        raise Contended("others were faster each time")
    return refused


async def _swap(attempt: Attempt, steps: Mapping[str, Step]) -> dict[str, bool | None]:
    """Whether each key still had the first text, and has the second now; None: there is no room.

    What goes wrong with one is raised after all are through.
    """
    begun = await attempt.announcer.begin(attempt.client, steps)

    async def swap(key: str, step: Step) -> bool | None:
        try:
            if step.after is None:
                return await attempt.remove(key, step.before)
            return await attempt.replace(key, step.before, step.after)
        except FULL:
            return None

    results = await asyncio.gather(
        *(swap(key, step) for key, step in steps.items()), return_exceptions=True
    )
    over = []
    found: dict[str, bool | None] = {}
    failure: BaseException | None = None
    for (key, step), result in zip(steps.items(), results, strict=True):
        if not isinstance(result, BaseException):
            found[key] = result
        elif failure is None:
            failure = result
        # Of any other failure nobody knows whether it was applied, or will be.
        if key in begun and (result in {True, False, None} or isinstance(result, _NEVER)):
            over.append(step.over(begun[key], is_applied=result is True))
    attempt.announcer.end(attempt.client, over)
    if failure is not None:
        raise failure
    return found
