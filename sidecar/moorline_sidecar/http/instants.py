"""Instants as the API writes them: RFC 3339, milliseconds, UTC."""

from __future__ import annotations

import functools
import time
from typing import Final

REMEMBERED: Final = 4_096
"""Milliseconds, as a second of a busy worker has them, and seconds; half a megabyte."""

_MS: Final = tuple(b"%03dZ" % ms for ms in range(1000))


@functools.lru_cache(maxsize=REMEMBERED)
def instant(ms: int) -> bytes:
    """`1700000000000` as `2023-11-14T22:13:20.000Z`."""
    seconds, rest = divmod(ms, 1000)
    return _second(seconds) + _MS[rest]


@functools.lru_cache(maxsize=REMEMBERED)
def _second(seconds: int) -> bytes:
    # Sessions in use share the seconds of "now" and of "now + maxIdle".
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds)).encode()
