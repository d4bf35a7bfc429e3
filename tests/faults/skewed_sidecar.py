"""`moorline-sidecar` on a node whose clock is wrong: minutes off, and stepped while it runs.

The first argument is JSON: `steps`, a list of when (seconds after the start) the clock is how far
off (seconds), and `mutation`, the promise that this build breaks, or none. It ends with the process
that started it, however that dies.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
import time
from typing import Final

PR_SET_PDEATHSIG: Final = 1

_real_time_ns = time.time_ns
_real_monotonic_ns = time.monotonic_ns
_start_ns: Final = _real_monotonic_ns()


def skew_ns(steps: list[tuple[float, float]]) -> int:
    """How far off the clock is now."""
    passed = (_real_monotonic_ns() - _start_ns) / 1e9
    return int(max((at, off) for at, off in steps if at <= passed)[1] * 1e9)


def skew(steps: list[tuple[float, float]]) -> None:
    """Let `time` tell the wrong time; what measures spans starts from another point."""
    from_ns = int(abs(steps[0][1]) * 1e9)
    time.time_ns = lambda: _real_time_ns() + skew_ns(steps)
    time.time = lambda: (_real_time_ns() + skew_ns(steps)) / 1e9
    time.monotonic_ns = lambda: _real_monotonic_ns() + from_ns
    time.monotonic = lambda: (_real_monotonic_ns() + from_ns) / 1e9


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    asked = json.loads(sys.argv.pop(1))
    skew([(at, off) for at, off in asked["steps"]])
    # Only now: some modules take `monotonic` by its name.
    from moorline_sidecar.__main__ import main as serve  # noqa: PLC0415

    if asked["mutation"]:
        from tests.faults.mutations import MUTATIONS  # noqa: PLC0415 - it imports them, too

        MUTATIONS[asked["mutation"]].apply()
    serve()


if __name__ == "__main__":
    main()
