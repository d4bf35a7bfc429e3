"""A store that objects to every write that a correct cluster never makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from moorline_sidecar.domain.session import Record, Session, Tombstone
from moorline_sidecar.stores.base import Outcome, Touch, Write
from moorline_sidecar.stores.memory import MemoryStore


class WitnessStore(MemoryStore):
    """The reference store, looking at each record before and after; `records` are all of them."""

    def __init__(self, now: Callable[[], int]) -> None:
        super().__init__(now)
        self.objections: list[str] = []

    @property
    def records(self) -> dict[str, Record]:
        return self._records

    async def insert(self, session: Session) -> None:
        await super().insert(session)
        if session.version < 1:
            self.objections.append(f"inserted with version {session.version}")

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        keys = [write.key for write in writes]
        if len(set(keys)) < len(keys):
            self.objections.append("two writes of one key in one call")
        before = self._of(keys)
        outcomes = await super().write(writes)
        self._compare(before)
        return outcomes

    async def touch(self, touches: Sequence[Touch]) -> None:
        before = self._of(touch.key for touch in touches)
        await super().touch(touches)
        self._compare(before)

    async def discard(self, key: str, origin: str, version: int) -> bool:
        ended = self._records.get(origin)
        copy = self._records.get(key)
        is_done = await super().discard(key, origin, version)
        if is_done and isinstance(ended, Tombstone) and ended.renewed_to == key:
            self.objections.append(f"the session itself was discarded: {copy}")
        return is_done

    def _of(self, keys: Iterable[str]) -> dict[str, Record | None]:
        return {key: self._records.get(key) for key in keys}

    def _compare(self, before: dict[str, Record | None]) -> None:
        for key, old in before.items():
            new = self._records.get(key)
            if not _may_become(old, new):
                self.objections.append(f"{old} became {new}")


def _may_become(old: Record | None, new: Record | None) -> bool:
    match old, new:
        case None, None:
            return True
        case Session(), Session():
            return _may_follow(old, new)
        case Session(), Tombstone():
            return new.version == old.version + 1 and new.created == old.created
        case Tombstone(), Tombstone():
            return old.version == new.version and old.reason == new.reason
        case _:
            return False


def _may_follow(old: Session, new: Session) -> bool:
    is_same = old.contexts == new.contexts and old.principal == new.principal
    return (
        new.version == old.version + (not is_same or old.write_id != new.write_id)
        and new.accessed >= old.accessed
        and (new.created, new.deadline) == (old.created, old.deadline)
    )
