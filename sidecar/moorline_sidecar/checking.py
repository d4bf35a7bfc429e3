"""The check: reaches the store, makes what it needs, and says in a word what is wrong.

The words are the reasons of the condition `BackendReady` of a SessionCluster; a purge that fails
ends with one of them, too.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, runtime_checkable

import msgspec
from msgspec import Struct

from moorline_sidecar.errors import ConfigurationError, StoreError
from moorline_sidecar.purge import PurgeResult
from moorline_sidecar.stores.base import SessionStore

RESULT_BYTES: Final = 2_048
"""Kubernetes keeps 4 KiB of a termination message; the operator reads half of it."""

DIAGNOSIS_SECONDS: Final = 5.0
"""For the reason of a purge that has failed already; the operator gives it half a minute to end."""

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


def misconfigured(error: ConfigurationError) -> CheckResult:
    """The result where there is nothing that could be checked."""
    return CheckResult(ok=False, reason="InvalidConfiguration", detail=str(error))


def purge_line(result: PurgeResult, failure: CheckResult | None) -> str:
    """The last line of a purge; with its `reason` and `detail` if it failed; at most 2 KiB."""
    done = msgspec.to_builtins(result)
    while failure is not None:
        why = {"reason": failure.reason, "detail": failure.detail}
        line = msgspec.json.encode(done | why)
        if len(line) <= RESULT_BYTES:
            return line.decode()
        failure = _shorter(failure)
    return msgspec.json.encode(done).decode()


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


async def reason_of(store: SessionStore, error: StoreError) -> CheckResult:
    """Why a call failed, as far as the store can still tell."""
    try:
        async with asyncio.timeout(DIAGNOSIS_SECONDS):
            found = await check(store)
    except TimeoutError:
        return CheckResult(ok=False, reason="Unreachable", detail=str(error))
    if found.ok:
        return CheckResult(ok=False, reason="Unreachable", detail=f"{error}; it is back now")
    return found
