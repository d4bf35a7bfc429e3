"""The bounds of the data plane, and the plain counters that metrics are read from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from moorline_sidecar.hot import Flow

KIB: Final = 1024


class Limits(Struct, frozen=True, kw_only=True):
    """What one data plane grants its clients. A time runs out up to `sweep_s` late, never early."""

    head_bytes: int = 32 * KIB
    """Request line and fields together."""
    head_fields: int = 100
    head_s: float = 10.0
    """From the first byte of a request to the empty line."""
    body_bytes: int = 4 * KIB * KIB
    """A session of 1 MiB written in `\\u` escapes is up to three times as long."""
    session_bytes: int | None = None
    """What a session may have, named to whoever sends a body that is too long for any; not checked
    here. None: bodies make no sessions."""
    body_s: float = 30.0
    idle_s: float = 75.0
    """Between two requests; also how long a client may leave an answer unread."""
    connections: int = 4096
    pipelined_requests: int = 64
    """Waiting behind one that has to be awaited; reading pauses when there are more."""
    drain_bytes: int = 256 * KIB
    """Read and thrown away after the last answer, so that the client comes to read it."""
    drain_s: float = 2.0
    sweep_s: float = 0.5
    """How often the deadlines of all connections are looked at."""


@dataclass(slots=True, kw_only=True)
class Traffic:
    """What has passed through since the start: no Struct, whose fields take longer to set."""

    accepted: int = 0
    """Connections, those refused for their number included."""
    overloaded: int = 0
    """Connections refused because there were too many."""
    refused: int = 0
    """Requests that never reached the application's `handle`: malformed, too large, screened."""
    timeouts: int = 0
    """Connections ended because the client was too slow, idleness not counted."""
    failures: int = 0
    """Requests whose handler raised."""
    flow: Flow = field(default_factory=Flow)
    others: list[int] = field(default_factory=lambda: [0] * 6)
    """Answers that are not among the hits of `flow`, by class of status: the third counts 2xx."""

    @property
    def answers(self) -> list[int]:
        """All of them, by class of status."""
        answers = self.others.copy()
        answers[2] += self.flow.hits
        return answers
