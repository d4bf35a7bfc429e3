"""Many changes to one session, merged into one write."""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from moorline_sidecar.domain.changes import Patch, patched, remembering
from moorline_sidecar.domain.policies import RECENT_KEYS
from moorline_sidecar.domain.serials import Serial, is_applied, numbered
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import InvalidValue, Refusal, VersionConflict

UNLIMITED: Final = sys.maxsize


class Asked(Struct, frozen=True, kw_only=True):
    """A change that somebody asks for.

    `if_versions` are those that `If-Match` names, None without one. `serial` is the number of a
    change that was kept through an outage. One that `is_sealed` may be in the store already: it is
    all there or not at all, so it must not be joined with what came later.
    """

    patch: Patch
    if_versions: tuple[int, ...] | None = None
    idempotency_key: str | None = None
    serial: Serial | None = None
    is_sealed: bool = False

    @property
    def can_be_kept(self) -> bool:
        """Whether it may be answered before the store has seen it, in an outage.

        The store alone can tell whether a version is the newest, and how many sessions a principal
        has; and no other worker may end a session early by an idle time that it does not know.
        """
        return self.if_versions is None and not self.patch.is_about_session


class Verdict(enum.Enum):
    """What the merge made of a change that it did not refuse."""

    MERGED = enum.auto()
    REPLAYED = enum.auto()
    """The session has seen its idempotency key: it is not applied again."""
    LATER = enum.auto()
    """It cannot share this write: judge it against the session that comes of it."""


class Merge(Struct, frozen=True):
    """The content after all that was merged, and a verdict on each change, in order."""

    content: Session
    verdicts: Sequence[Verdict | Refusal]

    @property
    def has_refusals(self) -> bool:
        return any(isinstance(verdict, Refusal) for verdict in self.verdicts)


def merge(
    base: Session, asked: Iterable[Asked], max_bytes: int, unsaved: Sequence[Asked] = ()
) -> Merge:
    """Apply the changes in order; a refused one changes nothing and leaves the others alone.

    What is `unsaved` comes first: it was accepted before. `content` is `base` itself where nothing
    is to be written.
    """
    content = rebased(base, unsaved)
    verdicts: list[Verdict | Refusal] = []
    for ask in asked:
        try:
            content, verdict = _judge(base, content, ask, max_bytes)
        except Refusal as refusal:
            verdicts.append(refusal)
        else:
            verdicts.append(verdict)
    return Merge(content, verdicts)


def rebased(stored: Session, unsaved: Iterable[Asked]) -> Session:
    """The stored session with what was promised but is not saved yet, whatever its size now.

    What the store turns out to have, by its idempotency key or number, is not applied again. An
    increment of what is no number any more is left out.
    """
    content = stored
    for ask in unsaved:
        key = ask.idempotency_key
        if _is_stored(ask, stored):
            continue
        content = _as_far_as_possible(content, ask.patch)
        if key is not None:
            content = remembering(content, key)
        if ask.serial is not None:
            content = numbered(content, ask.serial)
    return content


def clashes(before: Session, now: Session, unsaved: Iterable[Asked]) -> int:
    """How many attributes are changed by `unsaved`, and were by others from `before` to `now`.

    Increments add up: they clash only with what is no number.
    """
    found: set[tuple[str, str]] = set()
    for ask in unsaved:
        if _is_stored(ask, now):
            continue
        patch = ask.patch
        was = before.contexts.get(patch.context, {})
        holds = now.contexts.get(patch.context, {})
        named = {*patch.set, *patch.unset}
        if patch.replace is not None:
            named |= {*was, *holds}
        found |= {
            (patch.context, name)
            for name in named
            if (name in was, was.get(name)) != (name in holds, holds.get(name))
        }
        broken = (name for name in patch.increment if not _adds(holds, patch, name))
        found |= {(patch.context, name) for name in broken}
    return len(found)


def compacted(unsaved: Sequence[Asked]) -> list[Asked]:
    """The same changes in less room: at most 16 with keys, and between two one a context."""
    surplus = sum(ask.idempotency_key is not None for ask in unsaved) - RECENT_KEYS
    compact: list[Asked] = []
    for ask in unsaved:
        if ask.idempotency_key is not None:
            surplus -= 1
            if surplus < 0:
                compact.append(ask)
                continue
        _append(compact, structs.replace(ask, idempotency_key=None))
    return compact


def _append(compact: list[Asked], ask: Asked) -> None:
    """Join a change without a key to the last one of its context, if no key stands between."""
    for place in range(len(compact) - 1, -1, -1):
        known = compact[place]
        if known.idempotency_key is not None or known.is_sealed or ask.is_sealed:
            break
        if known.patch.context == ask.patch.context:
            joined = _joined(known.patch, ask.patch)
            if joined is None:
                break
            compact[place] = Asked(patch=joined, serial=ask.serial or known.serial)
            return
    compact.append(ask)


def _joined(first: Patch, then: Patch) -> Patch | None:
    """One patch in place of two of a context; None if there is none that says the same."""
    if then.replace is not None:
        return then
    sets, unsets, sums = dict(first.set), dict.fromkeys(first.unset), dict(first.increment)
    for name, amount in then.increment.items():
        known = sums.get(name, 0)
        if name in sets or name in unsets or first.replace is not None:
            return None
        if name in sums and not (isinstance(known, int) and isinstance(amount, int)):
            # The sum of doubles depends on the order in which they are added.
            return None
        sums[name] = known + amount
    for name in (*then.set, *then.unset):
        sums.pop(name, None)
        sets.pop(name, None)
        unsets.pop(name, None)
    return Patch(
        context=first.context,
        replace=first.replace,
        set={**sets, **then.set},
        unset=(*unsets, *then.unset),
        increment=sums,
    )


def _is_stored(ask: Asked, stored: Session) -> bool:
    key = ask.idempotency_key
    if key is not None and key in stored.recent:
        return True
    return ask.serial is not None and is_applied(ask.serial, stored.recent)


def _as_far_as_possible(content: Session, patch: Patch) -> Session:
    try:
        return patched(content, patch, UNLIMITED)
    except InvalidValue:
        content = patched(content, structs.replace(patch, increment={}), UNLIMITED)
    for name, amount in patch.increment.items():
        with contextlib.suppress(InvalidValue):
            single = Patch(context=patch.context, increment={name: amount})
            content = patched(content, single, UNLIMITED)
    return content


def _adds(holds: Mapping[str, object], patch: Patch, name: str) -> bool:
    value = holds.get(name, 0)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number or patch.replace is not None or name in patch.set


def _judge(base: Session, content: Session, ask: Asked, max_bytes: int) -> tuple[Session, Verdict]:
    key = ask.idempotency_key
    if key is not None:
        if key in content.recent:
            return content, Verdict.REPLAYED
        if len(content.recent) - len(set(content.recent) & set(base.recent)) >= RECENT_KEYS:
            # A seventeenth new key would push out one that this very write is to remember.
            return content, Verdict.LATER
    if ask.if_versions is not None:
        if content is not base:
            return content, Verdict.LATER
        if base.version not in ask.if_versions:
            raise VersionConflict
    if ask.patch.is_empty:
        return content, Verdict.MERGED
    content = patched(content, ask.patch, max_bytes)
    return (remembering(content, key) if key is not None else content), Verdict.MERGED
