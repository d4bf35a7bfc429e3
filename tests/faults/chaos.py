"""`make chaos`: sidecars, a store and users under fire for as long as asked.

Prints what is done to whom, then a table. Exit code 1 if a rule was broken, with the seed and the
file that holds the stories in which it was.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import click
from moorline_api import OnOutage, Staleness

from tests.faults.fire import Fire, Outcome, Setting
from tests.faults.stores import STORES

COLUMN: Final = 44
INTERRUPTED: Final = 130


@click.command()
@click.option("--store", type=click.Choice(list(STORES)), default="mongodb", show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="How long there are faults.")
@click.option("--seed", type=int, help="Of the faults and of what users do. [default: any]")
@click.option("--users", default=50, show_default=True)
@click.option("--sidecars", default=4, show_default=True)
@click.option(
    "--think-seconds", default=0.8, show_default=True, help="Seconds between a tab's requests."
)
@click.option("--staleness", type=click.Choice(["Pushed", "Bounced", "Always"]), default="Pushed")
@click.option("--on-outage", type=click.Choice(["Refuse", "Buffer"]), default="Refuse")
def main(**asked: Any) -> None:  # noqa: ANN401 - what the options above say
    """Set a cluster on fire, and check what its users were told."""
    asked["staleness"] = Staleness[asked["staleness"].upper()]
    asked["on_outage"] = OnOutage[asked["on_outage"].upper()]
    if asked["seed"] is None:
        asked["seed"] = random.randrange(1 << 31)
    setting = Setting(**asked)
    folder = Path(tempfile.mkdtemp(prefix="moorline-chaos-"))
    started = time.monotonic()

    def report(line: str) -> None:
        click.echo(f"{time.monotonic() - started:7.1f} s  {line}")

    click.echo(f"seed {setting.seed}, {folder}")
    fire = Fire(setting, folder, report)
    try:
        outcome = asyncio.run(_run(fire))
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("interrupted; everything that was started is stopped")
        sys.exit(INTERRUPTED)
    click.echo(table(outcome))
    if outcome.violations:
        for rule, first in outcome.first_of_each_rule().items():
            click.echo(f"{rule} (story {first.story}): {first.sentence}")
        click.echo(f"again: make chaos ARGS='--seed {setting.seed}'; history: {fire.history}")
        sys.exit(1)


async def _run(fire: Fire) -> Outcome:
    """The outcome; SIGTERM is as Ctrl-C, so that nothing is left running."""
    burning = asyncio.ensure_future(fire.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, burning.cancel)
    return await burning


def table(outcome: Outcome) -> str:
    """The numbers of a run."""
    groups = {
        "operations": outcome.operations,
        "answers": outcome.answers,
        "served from": outcome.sources,
        "faults": outcome.faults,
    }
    lines = []
    for title, counter in groups.items():
        lines.append(_line(title, counter.total()))
        lines += [_line(f"  {name}", number) for name, number in sorted(counter.items())]
    lines.append(_line("sessions", outcome.sessions))
    lines.append(_line("calls made again", outcome.repeated))
    lines.append(_line("longest stall of this program, ms", outcome.longest_stall_ms))
    lines.append(_line("violations", len(outcome.violations)))
    return "\n".join(lines)


def _line(name: str, number: int) -> str:
    return f"{name:<{COLUMN}}{number:>10,}"


if __name__ == "__main__":
    main()
