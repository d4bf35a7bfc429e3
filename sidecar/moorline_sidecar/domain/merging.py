"""Many changes to one session, merged into one write."""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from moorline_sidecar.domain.changes import Patch, patched, remembering
from moorline_sidecar.domain.policies import RECENT_KEYS
from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import Refusal, VersionConflict

UNLIMITED: Final = sys.maxsize


class Asked(Struct, frozen=True, kw_only=True):
    """A change that somebody asks for.

    `if_versions` are those that `If-Match` names, None without one.
    """

    patch: Patch
    if_versions: tuple[int, ...] | None = None
    idempotency_key: str | None = None


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

    What the store turns out to have, by its idempotency key, is not applied again.
    """
    content = stored
    for ask in unsaved:
        key = ask.idempotency_key
        if key is not None and key in stored.recent:
            continue
        content = patched(content, ask.patch, UNLIMITED)
        if key is not None:
            content = remembering(content, key)
    return content


def compacted(unsaved: Sequence[Asked]) -> list[Asked]:
    """The same changes in less room: at most 16 with keys, and between two one a context."""
    surplus = sum(ask.idempotency_key is not None for ask in unsaved) - RECENT_KEYS
    compact: list[Asked] = []
    for ask in unsaved:
        key = ask.idempotency_key
        if key is not None:
            surplus -= 1
            if surplus < 0:
                compact.append(ask)
                continue
        _append(compact, ask.patch)
    return compact


def _append(compact: list[Asked], patch: Patch) -> None:
    """Join a change without a key to the last one of its context, if no key stands between."""
    for place in range(len(compact) - 1, -1, -1):
        known = compact[place]
        if known.idempotency_key is not None:
            break
        if known.patch.context == patch.context:
            compact[place] = Asked(patch=_joined(known.patch, patch))
            return
    compact.append(Asked(patch=patch))


def _joined(first: Patch, then: Patch) -> Patch:
    """One patch in place of two deferrable ones of a context."""
    if then.replace is not None:
        return then
    sets = {name: value for name, value in first.set.items() if name not in then.unset}
    unsets = dict.fromkeys((*first.unset, *then.unset))
    return Patch(
        context=first.context,
        replace=first.replace,
        set={**sets, **then.set},
        unset=tuple(name for name in unsets if name not in then.set),
    )


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
