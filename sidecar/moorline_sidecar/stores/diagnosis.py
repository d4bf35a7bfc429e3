"""How it is with a store, in a word of the condition `BackendReady`."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

READY: Final = "Ready"


class Diagnosis(Struct, frozen=True, kw_only=True):
    """`reason` is `Ready`, or what is wrong; `detail` is a sentence that a person can act on."""

    reason: str
    detail: str
    server: str = ""
    indexes: tuple[str, ...] = ()

    @property
    def is_ready(self) -> bool:
        return self.reason == READY
