"""The check: reaches the store, makes what it needs, and says in a word what is wrong.

The words are the reasons of the condition `BackendReady` of a SessionCluster.
"""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

import msgspec
from msgspec import Struct

from moorline_sidecar.errors import StoreError
from moorline_sidecar.stores.base import SessionStore

RESULT_BYTES: Final = 2_048
"""Kubernetes keeps 4 KiB of a termination message; the operator reads half of it."""

_REACHED: Final = frozenset({"AuthenticationFailed", "UnsupportedVersion", "IndexConflict"})


class CheckResult(Struct, frozen=True, kw_only=True):
    """`reason` is `Ready`, or what is wrong; `detail` a sentence that a person can act on."""

    ok: bool
    reason: str
    detail: str
    server: str = ""
    indexes: tuple[str, ...] = ()

    @property
    def is_reached(self) -> bool:
        """Whether the server answered, if only to refuse."""
        return self.ok or self.reason in _REACHED

    def line(self) -> str:
        """JSON of at most 2 KiB, cut where it has to be."""
        shown = self
        while len(line := msgspec.json.encode(shown)) > RESULT_BYTES:
            shown = _shorter(shown)
        return line.decode()


def _shorter(result: CheckResult) -> CheckResult:
    if result.detail:
        kept = result.detail[: len(result.detail) * 9 // 10]
        return msgspec.structs.replace(result, detail=kept)
    if result.indexes:
        return msgspec.structs.replace(result, indexes=result.indexes[:-1])
    return msgspec.structs.replace(result, server=result.server[: len(result.server) * 9 // 10])


class Diagnosis(Protocol):
    """What a store that can tell what is wrong with itself says."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def reason(self) -> str: ...

    @property
    def detail(self) -> str: ...

    @property
    def server(self) -> str: ...

    @property
    def indexes(self) -> tuple[str, ...]: ...


@runtime_checkable
class SelfChecking(Protocol):
    """A store that knows better than its errors tell."""

    async def check(self) -> Diagnosis:
        """Reach the server, make the indexes, and say how it went; no error is raised."""


async def check(store: SessionStore) -> CheckResult:
    """How it went; no error is raised."""
    if isinstance(store, SelfChecking):
        found = await store.check()
        return CheckResult(
            ok=found.is_ready,
            reason=found.reason,
            detail=found.detail,
            server=found.server,
            indexes=found.indexes,
        )
    try:
        server = await store.server()
        indexes = tuple(await store.prepare())
    except StoreError as error:
        return CheckResult(ok=False, reason="Unreachable", detail=str(error))
    return CheckResult(
        ok=True, reason="Ready", detail=f"{server} is in reach", server=server, indexes=indexes
    )
