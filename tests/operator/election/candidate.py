"""A process that wants to lead, and notes when it acts: namespace, file, identity, how it ends.

A `mortal` one fails after a while, and a `patient` one keeps the Lease for long. Started by the
tests with KUBECONFIG set. Ends with 3 when it lost the Lease, with 4 when what it does failed.
"""

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from moorline_operator.election import Elector, Terms, elapsed
from moorline_operator.errors import LeadershipLost
from moorline_operator.kube.api import connected

LEASE: Final = "moorline-operator"

DURATION: Final = 3.0
RENEW_DEADLINE: Final = 2.0
RETRY: Final = 0.3
PATIENCE: Final = 10
"""Times as long for a patient one: an answer may take seconds where the machine is shared."""

ACT_SECONDS: Final = 0.01
ACTS_OF_A_MORTAL: Final = 100

LOST: Final = 3
FAILED: Final = 4


class Died(Exception):
    """What the leader does failed."""


async def main(
    namespace: str, history: Path, identity: str, *, is_mortal: bool, is_patient: bool
) -> int:
    times = PATIENCE if is_patient else 1
    terms = Terms(
        namespace=namespace,
        lease=LEASE,
        duration=times * DURATION,
        renew_deadline=times * RENEW_DEADLINE,
        retry=RETRY,
    )
    async with connected() as kube:
        elector = Elector(kube, terms, identity)

        async def act() -> None:
            acts = 0
            with history.open("a", buffering=1) as lines:
                while not (is_mortal and acts == ACTS_OF_A_MORTAL):
                    # Before the guard: a process can be stopped between any two steps.
                    at = elapsed()
                    elector.guard()
                    lines.write(f"{identity} {at}\n")
                    acts += 1
                    await asyncio.sleep(ACT_SECONDS)
            raise Died

        running = asyncio.ensure_future(elector.run(act))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        try:
            with suppress(asyncio.CancelledError):
                await running
        except LeadershipLost:
            return LOST
        except Died:
            return FAILED
    return 0


if __name__ == "__main__":
    _, in_namespace, file, name, *how = sys.argv
    candidate = main(
        *(in_namespace, Path(file), name), is_mortal="mortal" in how, is_patient="patient" in how
    )
    sys.exit(asyncio.run(candidate))
