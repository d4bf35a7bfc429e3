import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_sidecar.checking import (
    DIAGNOSIS_SECONDS,
    RESULT_BYTES,
    CheckResult,
    check,
    misconfigured,
    purge_line,
    reason_of,
)
from moorline_sidecar.errors import ConfigurationError, StoreUnavailable
from moorline_sidecar.purge import PurgeResult
from moorline_sidecar.stores.memory import MemoryStore

from tests.sidecar.sessions.faults import Link, unavailable


async def test_a_store_in_reach_is_ready() -> None:
    result = await check(MemoryStore(lambda: 0))
    assert (result.ok, result.reason, result.server) == (True, "Ready", "memory")
    assert result.is_reached


async def test_a_store_that_knows_no_better_is_unreachable() -> None:
    link = Link(MemoryStore(lambda: 0))
    link.plan("server", unavailable)
    result = await check(link)
    assert (result.ok, result.reason) == (False, "Unreachable")
    assert not result.is_reached


@pytest.mark.parametrize(
    ("reason", "is_reached"),
    [
        ("Ready", False),
        ("SecretNotFound", False),
        ("SecretKeyMissing", False),
        ("NameNotResolved", False),
        ("TLSFailed", False),
        ("Unreachable", False),
        ("NotPrimary", False),
        ("AuthenticationFailed", True),
        ("UnsupportedVersion", True),
        ("IndexConflict", True),
    ],
)
def test_a_server_that_answers_is_reached(reason: str, *, is_reached: bool) -> None:
    assert CheckResult(ok=False, reason=reason, detail="").is_reached is is_reached


@given(st.text(max_size=5_000), st.text(max_size=200), st.lists(st.text(max_size=60), max_size=100))
def test_a_line_is_json_of_two_kibibytes_at_most(
    detail: str, server: str, indexes: list[str]
) -> None:
    result = CheckResult(
        ok=False, reason="TLSFailed", detail=detail, server=server, indexes=tuple(indexes)
    )
    line = result.line()
    told = msgspec.json.decode(line)
    assert len(line.encode()) <= RESULT_BYTES
    assert detail.startswith(told["detail"])
    assert told["detail"] or not detail or len(server) + len(str(indexes)) > RESULT_BYTES // 2
    assert told["reason"] == "TLSFailed"


@given(st.text(max_size=5_000))
def test_a_purge_that_failed_says_why_in_two_kibibytes_at_most(detail: str) -> None:
    failure = CheckResult(ok=False, reason="SecretNotFound", detail=detail)
    line = purge_line(PurgeResult(invalid_deleted=3), failure)
    told = msgspec.json.decode(line)
    assert len(line.encode()) <= RESULT_BYTES
    assert (told["invalidDeleted"], told["complete"]) == (3, False)
    assert told["reason"] == "SecretNotFound"
    assert detail.startswith(told["detail"])


def test_a_purge_that_went_well_gives_no_reason() -> None:
    told = msgspec.json.decode(purge_line(PurgeResult(complete=True), None))
    assert told.keys().isdisjoint({"reason", "detail"})


def test_a_configuration_of_no_use_names_its_mistakes() -> None:
    result = misconfigured(ConfigurationError(["spec.x: unknown", "spec.y: unknown"]))
    assert (result.ok, result.reason) == (False, "InvalidConfiguration")
    assert result.detail == "spec.x: unknown; spec.y: unknown"


@pytest.mark.looptime
async def test_the_reason_of_a_failure_is_what_the_store_still_tells() -> None:
    async def hang(_operation: object) -> Any:  # noqa: ANN401 it never returns
        await asyncio.sleep(2 * DIAGNOSIS_SECONDS)

    link, error = Link(MemoryStore(lambda: 0)), StoreUnavailable("no primary")
    back = await reason_of(link, error)
    assert (back.ok, back.reason, back.detail) == (
        False,
        "Unreachable",
        "no primary; it is back now",
    )
    link.plan("server", hang)
    slow = await reason_of(link, error)
    assert (slow.ok, slow.reason, slow.detail) == (False, "Unreachable", "no primary")
