"""What every hit touches, in Python: what `_compiled.c` does, without a compiler."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Final

REMEMBERED: Final = 4_096
"""Milliseconds, as a second of a busy worker has them, and seconds; half a megabyte."""

LAST_INSTANT: Final = 253_402_300_799_999
"""The last millisecond of 9999, the last year that RFC 3339 can write."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = tuple(b"%03dZ" % ms for ms in range(1000))


@functools.lru_cache(maxsize=REMEMBERED)
def instant(ms: int) -> bytes:
    """`1700000000000` as `2023-11-14T22:13:20.000Z`: RFC 3339, milliseconds, UTC.

    Raises:
        ValueError: it is not in the years 1970 to 9999; the text would have another length.
    """
    if not 0 <= ms <= LAST_INSTANT:
        raise ValueError(f"not in the years 1970 to 9999: {ms} ms")
    seconds, rest = divmod(ms, 1000)
    return _second(seconds) + _MS[rest]


@functools.lru_cache(maxsize=REMEMBERED)
def _second(seconds: int) -> bytes:
    # Sessions in use share the seconds of "now" and of "now + maxIdle".
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.").encode()
