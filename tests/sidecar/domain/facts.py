"""Policies and times for tests, with every field that a test does not care about filled in."""

from typing import Any

from moorline_sidecar.domain.policies import Policy
from moorline_sidecar.hot import Times, plain
from msgspec import structs

from tests.contract.sessions import IDLE, T0

SECOND = 1_000
MINUTE = 60 * SECOND

# The worker whose decisions are tested, and one that it hears of.
HERE = "node0"
THERE = "node1"


def a_policy(**fields: object) -> Policy:
    return structs.replace(Policy(worker=HERE), **fields)


def some_times(**fields: Any) -> Times:  # noqa: ANN401 as `replace` takes them
    """Of a session of half an hour that this worker has just created."""
    return Times(
        **{
            "own_accessed": T0,
            "own_expiry": T0 + IDLE,
            "stored_accessed": T0,
            "stored_expiry": T0 + IDLE,
            "stored_node": HERE,
            "deadline": None,
            "max_idle_ms": IDLE,
            **fields,
        }
    )


def fields_of(times: Times) -> dict[str, Any]:
    """What to compare them by: each is equal to itself alone, as it is one of a kind."""
    return {name: getattr(times, name) for name in plain.Times.__match_args__}
