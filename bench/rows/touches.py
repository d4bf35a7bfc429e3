"""Sessions that are only touched: how many writes that costs the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.figures import Figure
from bench.gauges import write_commands
from bench.load import client
from bench.population import aged
from bench.results import Row, Unit, at_most
from bench.settings import Settings
from bench.shots import Shot, hint_header, write_shots
from bench.stage import say
from bench.warm import warm_sidecar

SESSIONS: Final = 10_000
QUICK_SESSIONS: Final = 3_000
RATE: Final = 1_000
CONNECTIONS: Final = 16
NO_CONTENT: Final = 204
TOUCH_PERIOD_MS: Final = 60_000


def measure(settings: Settings) -> Iterator[Row]:
    sessions = settings.sized(SESSIONS, QUICK_SESSIONS)
    # As after an hour: the last access of each was stored at some time of the last period.
    with warm_sidecar(settings, "touches", sessions, alter=aged(TOUCH_PERIOD_MS)) as warm:
        shots = write_shots(
            settings.folder / "touches.tsv",
            (
                Shot(f"/v1/sessions/{k.id}/touch", 0, None, hint_header(k.hint), "POST")
                for k in warm.known
            ),
        )
        seconds = 4 * settings.seconds
        say(f"touching for {seconds:.0f} s")
        before = write_commands(warm.uri)
        sample = client(
            settings, warm.sidecar, "paced", warm.sidecar.port, shots,
            seconds=seconds, status=NO_CONTENT, options=(RATE, CONNECTIONS),
        )  # fmt: skip
        written = write_commands(warm.uri) - before
    requests = sample.rate * seconds
    share = 100 * written / requests
    yield Row(
        name="touch-writes",
        what=f"touch-only traffic, {sessions:,} live sessions at 1,000 requests/s",
        against="one write command per request",
        target=at_most(2, Unit.PERCENT),
        value=Figure(share, share, share),
        ours=f"{written} write commands, p99 {sample.p99_us / 1e3:.2f} ms",
        theirs=f"{requests:,.0f} requests",
    )
