"""The list of processes that serve from one store: for people, nothing is decided by it.

It lies beside the sessions, and a store may do without.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

MEMBERS_MAX: Final = 5_000
"""Of them a store answers with no more."""


class Member(Struct, frozen=True, kw_only=True):
    """One process; times are milliseconds of the store's clock.

    `process` is another after every start, `worker` the same. `sessions` are in its cache,
    `unsaved` those of them with changes that the store does not hold yet.
    """

    process: str
    worker: str
    pod: str
    version: str
    since: int
    beat: int
    sessions: int
    unsaved: int


class Registry(Protocol):
    """Entries by process. Every verb may raise StoreUnavailable or OutcomeUnknown."""

    async def beat(self, member: Member) -> None:
        """Write the entry, whether there is one or not."""

    async def members(self, since: int) -> list[Member]:
        """Those whose last beat is not older than `since`."""

    async def remove(self, process: str) -> None: ...

    async def remove_stale(self, before: int) -> None:
        """Remove those whose last beat is older."""
