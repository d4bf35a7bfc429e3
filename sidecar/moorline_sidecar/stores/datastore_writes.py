"""Carrying out the port's conditional writes: by the version that Datastore gives each entity.

A record is read with its version, what the write makes of it is decided here, and it is stored if
the version is still the same; else it is read anew. Datastore compares and stores in one step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from google.cloud.datastore_v1.types import EntityResult, Mutation

from moorline_sidecar.domain.session import Session
from moorline_sidecar.errors import AlreadyExists, TooLarge
from moorline_sidecar.stores import decisions
from moorline_sidecar.stores.base import Outcome, Write
from moorline_sidecar.stores.datastore_errors import CONTENDED, TAKEN
from moorline_sidecar.stores.datastore_records import (
    entity_of,
    is_too_large,
    key_of,
    name_of,
    record_in,
)
from moorline_sidecar.stores.datastore_running import Attempt, gathered
from moorline_sidecar.stores.decisions import Contended, Decide, Deleted

PAUSE_SECONDS: Final = 0.02
PAUSE_SECONDS_MAX: Final = 0.32
"""After what the server would not decide about; each is twice as long as the one before."""


class Sessions:
    """The entities of one kind, as one attempt sees them."""

    def __init__(self, attempt: Attempt, kind: str) -> None:
        self._attempt = attempt
        self._kind = kind

    async def found(self, keys: Iterable[str]) -> dict[str, EntityResult]:
        """The entities that exist among the keys."""
        wanted = [self._attempt.key(self._kind, name_of(key)) for key in dict.fromkeys(keys)]
        return {key_of(each.entity): each for each in await self._attempt.lookup(wanted)}

    async def insert(self, session: Session) -> None:
        """Raises AlreadyExists and TooLarge."""
        entity = entity_of(self._attempt.key(self._kind, name_of(session.key)), session)
        if is_too_large(entity):
            raise TooLarge(0, 0)
        for number in self._attempt.tries():
            try:
                await self._attempt.commit([Mutation(insert=entity)])
            except TAKEN as error:
                raise AlreadyExists("the key is taken") from error
            except CONTENDED:
                await asyncio.sleep(_pause(number))
            else:
                return
        raise Contended("others were faster each time")

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """What became of each write, in order."""
        known: dict[str, Outcome] = {}
        keys = dict.fromkeys(each.key for each in writes)
        too_large = await self.replace_all(keys, decisions.write(writes, known))
        return [Outcome.TOO_LARGE if each.key in too_large else known[each.key] for each in writes]

    async def replace_all(self, keys: Iterable[str], decide: Decide) -> set[str]:
        """Make of the record of each key what `decide` says, which may be asked repeatedly.

        Returns those whose records would be too large.

        Raises:
            Contended: others were faster each time.
        """
        pending = list(keys)
        too_large: set[str] = set()
        for number in self._attempt.tries():
            if not pending:
                return too_large
            found = await self.found(pending)
            steps: dict[str, Mutation] = {}
            for key in pending:
                step = _step(found.get(key), decide, key)
                if step is not None and is_too_large(step.upsert):
                    too_large.add(key)
                elif step is not None:
                    steps[key] = step
            results = await gathered(
                self._carry_out(step, _pause(number)) for step in steps.values()
            )
            pending = [key for key, is_done in zip(steps, results, strict=True) if not is_done]
        if pending:
            raise Contended("others were faster each time")
        return too_large

    async def _carry_out(self, step: Mutation, pause: float) -> bool:
        """Whether the entity still had the version."""
        try:
            (result,) = await self._attempt.commit([step])
        except CONTENDED:
            await asyncio.sleep(pause)
            return False
        return not result.conflict_detected


def _step(found: EntityResult | None, decide: Decide, key: str) -> Mutation | None:
    after = decide(key, None if found is None else record_in(found.entity))
    if found is None or after is None:
        return None
    # An update of what is gone by now would be an error, where an upsert of this version is none.
    if isinstance(after, Deleted):
        return Mutation(delete=found.entity.key, base_version=found.version)
    return Mutation(upsert=entity_of(found.entity.key, after), base_version=found.version)


def _pause(number: int) -> float:
    return min(PAUSE_SECONDS_MAX, PAUSE_SECONDS * (1 << min(number, 10)))
