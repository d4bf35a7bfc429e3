"""What the operating system says of this process."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_STARTED: Final = time.monotonic()
_STATM: Final = Path("/proc/self/statm")
_DESCRIPTORS: Final = Path("/proc/self/fd")


def process_values() -> Mapping[str, float]:
    """Seconds, bytes and counts; without /proc (not Linux) some are left out."""
    times = os.times()
    values = {
        "cpu_user": times.user,
        "cpu_system": times.system,
        "uptime": time.monotonic() - _STARTED,
        "tasks": 0,
    }
    with suppress(RuntimeError):  # Nobody runs an event loop.
        values["tasks"] = len(asyncio.all_tasks())
    try:
        resident_pages = int(_STATM.read_text(encoding="ascii").split()[1])
        values["memory_bytes"] = resident_pages * os.sysconf("SC_PAGE_SIZE")
        values["descriptors"] = sum(1 for _ in _DESCRIPTORS.iterdir())
    except OSError:
        pass
    return values
