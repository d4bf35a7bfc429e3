"""What a client saw, as one line of JSON."""

from __future__ import annotations

import json

from bench.figures import percentile


def tell(latencies_ns: list[int], elapsed_ns: int, **more: float) -> None:
    """Print it in the form of `bench.load.Work`."""
    ordered = sorted(latencies_ns)
    work = {
        "requests": len(ordered),
        "seconds": elapsed_ns / 1e9,
        "p50_us": percentile(ordered, 0.5) / 1e3,
        "p99_us": percentile(ordered, 0.99) / 1e3,
        **more,
    }
    print(json.dumps(work))
