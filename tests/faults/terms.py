"""What a cluster promises, in numbers, and the times at which it was hindered."""

from __future__ import annotations

from typing import Final

from moorline_api import Staleness
from msgspec import Struct, field

from tests.faults.history import Call, Disturbance, Kind

SLACK_MS: Final = 5_000
"""What idle expiry may be late beyond a touch period."""

LIVE_MS: Final = 3_000
"""A stream is live while its last reply is younger."""

CALL_MS: Final = 2_700
"""No call of the store takes longer, heartbeats included."""

HEARD_MS: Final = 5_000
"""Two heartbeats, the first of which may just have begun."""

OUTAGE: Final = "store out of reach"
JOINED_MS: Final = 1_000
"""Between two signs of one outage."""

IDLE_PARTS: Final = 10


class Terms(Struct):
    """`clock_ms` is how far two workers' ideas of the store's time may differ in calm."""

    staleness: Staleness
    max_trust_ms: int
    max_age_ms: int
    touch_ms: int
    grace_ms: int
    clock_ms: int
    disturbances: list[Disturbance] = field(default_factory=list)
    killed: set[tuple[str, int]] = field(default_factory=set)
    """Workers and the lives in which they lost what they kept in memory."""

    def note_outage(self, worker: str, began: int, ended: int) -> None:
        """A worker has said that it does not reach the store: longer than the fault, sometimes."""
        for place in range(len(self.disturbances) - 1, -1, -1):
            known = self.disturbances[place]
            if (known.kind, known.worker) == (OUTAGE, worker):
                if known.ended >= began - JOINED_MS:
                    whole = Disturbance(
                        OUTAGE, worker, min(known.began, began), max(known.ended, ended)
                    )
                    self.disturbances[place] = whole
                    return
                break
        self.disturbances.append(Disturbance(OUTAGE, worker, began, ended))

    def slack(self, max_idle_ms: int) -> int:
        return self.touch_period(max_idle_ms) + SLACK_MS

    def touch_period(self, max_idle_ms: int) -> int:
        return min(self.touch_ms, max_idle_ms // IDLE_PARTS)

    def is_calm(self, worker: str, began: int, ended: int) -> bool:
        """Whether nothing hindered the worker in that time."""
        return not any(
            it.worker in {"", worker} and it.began <= ended and it.ended >= began
            for it in self.disturbances
        )

    def clock_error(self, *calls: Call) -> int:
        """How far apart these calls' workers may take the time to be, in milliseconds.

        The store's clock is read somewhere in a round trip: who is hindered may have read it once,
        half of the longest one off, until the next heartbeat.
        """
        hindered = sum(
            not self.is_calm(call.worker, call.sent - HEARD_MS, call.received) for call in calls
        )
        return self.clock_ms + hindered * CALL_MS // 2

    def age_max(self, call: Call) -> int | None:
        """How old a copy may be from which a call was answered; None for any age."""
        # With `Buffer` a copy also knows that a repeated change was made, and nothing is kept.
        is_of_copy = call.source == "hit" or call.kind is Kind.INCREMENT
        if call.is_unsaved or (call.is_degraded and is_of_copy):
            return None
        if call.source != "hit":
            return 0
        is_named = call.carried > 0 and call.carried_worker == call.worker
        match self.staleness:
            case Staleness.PUSHED if call.carried:
                hindered_from = call.sent - LIVE_MS - self.max_trust_ms
                if not is_named or self.is_calm(call.worker, hindered_from, call.received):
                    return LIVE_MS
                return max(LIVE_MS, self.max_trust_ms)
            case Staleness.BOUNCED if is_named:
                return self.max_trust_ms
            case _:
                return 0
