import json
from pathlib import Path
from typing import Any

import pytest

from bench.release import NAMESPACE, Release
from bench.writes import Writes

RELEASE = Release({"election": {"lease": "moorline-operator"}}, Path("k"), "moorline")
LEASE = {"namespace": NAMESPACE, "resource": "leases", "name": "moorline-operator"}
POD = {"namespace": "web", "resource": "pods", "name": "web-1"}


def event(verb: str, about: dict[str, str], user: str = RELEASE.user) -> str:
    written: dict[str, Any] = {"verb": verb, "user": {"username": user}, "objectRef": about}
    return json.dumps(written) + "\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(event("patch", POD), ["patch pods"], id="a write"),
        pytest.param(event("update", LEASE), [], id="the leader's Lease"),
        pytest.param(
            event("create", {**LEASE, "namespace": "web"}), ["create leases"], id="another Lease"
        ),
        pytest.param(event("list", POD), [], id="a read"),
        pytest.param(event("patch", POD, "somebody"), [], id="of somebody else"),
        pytest.param(event("patch", POD)[:-1], [], id="half a line"),
    ],
)
def test_only_what_the_operator_writes_is_counted(
    tmp_path: Path, line: str, expected: list[str]
) -> None:
    log = tmp_path / "audit.log"
    log.write_text(event("delete", POD))
    writes = Writes(log, RELEASE)

    with log.open("a") as audit:
        audit.write(line)

    assert writes.read() == expected
    assert writes.read() == []
