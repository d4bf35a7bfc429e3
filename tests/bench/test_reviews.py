import base64
import json
import random
from typing import Any

import pytest
from moorline_operator import naming

from bench.errors import BenchError
from bench.release import injection_of
from bench.reviews import refuse_a_bare_pod, shot
from bench.workload import injected, pod, session_cluster

REVIEW = json.dumps({"request": {"uid": "u-1", "name": "web-1"}})
SIDECAR = {"path": "/spec/initContainers", "value": [{"name": naming.CONTAINER}]}
GATE = {"path": "/spec/schedulingGates", "value": [{"name": naming.GATE}]}
SETTINGS = {"image": "moorline/sidecar:1", "meshContainers": ["istio-init"], "runAsUser": None}


def told(*patch: dict[str, Any], uid: str = "u-1", is_allowed: bool = True) -> bytes:
    encoded = base64.b64encode(json.dumps(patch).encode()).decode()
    response = {"uid": uid, "allowed": is_allowed, "patch": encoded}
    return json.dumps({"response": response}).encode()


def test_an_answer_with_sidecar_and_gate_is_right() -> None:
    refuse_a_bare_pod(REVIEW, told(SIDECAR, GATE))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(told(), id="nothing changed"),
        pytest.param(told(GATE), id="without the sidecar"),
        pytest.param(told(SIDECAR), id="without the gate"),
        pytest.param(told(SIDECAR, GATE, uid="u-2"), id="about another pod"),
        pytest.param(told(SIDECAR, GATE, is_allowed=False), id="refused"),
        pytest.param(b'{"response":{"uid":"u-1","allowed":true}}', id="no patch at all"),
    ],
)
def test_an_answer_without_them_fails_the_row(wrong: bytes) -> None:
    with pytest.raises(BenchError, match="did not inject web-1"):
        refuse_a_bare_pod(REVIEW, wrong)


def test_a_question_is_known_to_be_answered_by_the_length_of_what_was_looked_at() -> None:
    asked = shot(REVIEW, b"12345")

    assert asked.is_answered_by(b"abcde")
    assert not asked.is_answered_by(b"abcd")


def test_pods_of_a_fleet_are_as_the_webhook_makes_them() -> None:
    cluster = session_cluster("web", "shop")
    cluster["metadata"] |= {"uid": "u", "generation": 1}
    drawn = [pod("web", f"web-{n}", "shop", random.Random(n)) for n in (1, 1, 2)]

    whole = [injected(each, cluster, injection_of({"injection": SETTINGS})) for each in drawn]

    assert whole[0] == whole[1] != whole[2]
    assert naming.INJECTED in whole[0]["metadata"]["annotations"]
    assert {"name": naming.GATE} in whole[0]["spec"]["schedulingGates"]
