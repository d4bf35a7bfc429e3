"""Which worker name is next: pure, and cheap for thousands of them."""

from collections.abc import Collection
from heapq import heappop, heappush
from typing import Final

REST_SECONDS: Final = 60.0
"""A freed name rests that long: routes and caches may still lead to the pod that had it."""


class Names:
    """The worker names of one SessionCluster: which pods have them, and which is next.

    Pods are told apart by UID. People can label two pods alike, so a name may have several.
    `next` costs O(log n), spread over calls: every number below `_floor` is held, rests or is
    in the heap `_gaps`, and what else is in the heap is dropped when it comes up.
    """

    def __init__(self) -> None:
        self._holders: dict[str, set[str]] = {}
        self._names: dict[str, list[str]] = {}
        # In the order of their ends: every rest is equally long.
        self._resting: dict[str, float] = {}
        self._prefix = ""
        self._floor = 0
        self._gaps: list[int] = []

    def holders(self, name: str) -> frozenset[str]:
        return frozenset(self._holders.get(name, ()))

    def names_of(self, uid: str) -> tuple[str, ...]:
        """What the pod holds, the oldest first."""
        return tuple(self._names.get(uid, ()))

    def hold(self, name: str, uid: str) -> None:
        names = self._names.setdefault(uid, [])
        if name not in names:
            names.append(name)
            self._holders.setdefault(name, set()).add(uid)

    def drop(self, name: str, uid: str, now: float) -> None:
        """Take the name from the pod; it rests if it was the last that had it."""
        holders = self._holders.get(name, set())
        if uid not in holders:
            return
        holders.discard(uid)
        self._names[uid].remove(name)
        if not self._names[uid]:
            del self._names[uid]
        if not holders:
            del self._holders[name]
            self.rest(name, now)

    def release(self, uid: str, now: float) -> None:
        """Take all names from the pod."""
        for name in self.names_of(uid):
            self.drop(name, uid, now)

    def rest(self, name: str, now: float) -> None:
        """Pass the name over for `REST_SECONDS`."""
        self._resting.pop(name, None)
        self._resting[name] = now + REST_SECONDS

    def next(
        self, prefix: str, ordinal: int | None, now: float, refused: Collection[str] = ()
    ) -> str:
        """The name for a pod without one: that of its ordinal, else of the lowest free number.

        An ordinal's name does not rest: a StatefulSet makes the next pod of an ordinal when the
        one before is gone. `refused` are names that turned out to be another pod's.
        """
        self._wake(now)
        if prefix != self._prefix:
            self._prefix, self._floor, self._gaps = prefix, 0, []
        if ordinal is not None:
            wanted = f"{prefix}{ordinal}"
            if wanted not in self._holders and wanted not in refused:
                return wanted
        while self._gaps:
            name = f"{prefix}{self._gaps[0]}"
            if self._is_free(name, refused):
                return name
            heappop(self._gaps)
        while not self._is_free(name := f"{prefix}{self._floor}", refused):
            self._floor += 1
        return name

    def _is_free(self, name: str, refused: Collection[str]) -> bool:
        return name not in self._holders and name not in self._resting and name not in refused

    def _wake(self, now: float) -> None:
        while self._resting:
            name, until = next(iter(self._resting.items()))
            if until > now:
                return
            del self._resting[name]
            number = _number(name, self._prefix)
            if number is not None and number < self._floor:
                heappush(self._gaps, number)


def _number(name: str, prefix: str) -> int | None:
    digits = name.removeprefix(prefix)
    if not (name.startswith(prefix) and digits.isascii() and digits.isdigit()):
        return None
    return int(digits) if str(int(digits)) == digits else None
