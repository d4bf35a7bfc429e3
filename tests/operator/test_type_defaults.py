"""What is read back from the API server is what Python makes of the same spec."""

import asyncio

import msgspec
import pytest
from moorline_api import decode_spec

from tests.api.broken_rules import KEPT_RULES
from tests.api.cases import BACKEND, Spec
from tests.operator.control_plane import ControlPlane
from tests.operator.type_answers import Answer, made_dry

SPECS: dict[str, Spec] = {
    **KEPT_RULES,
    "smallest": {"backend": BACKEND},
    "null-is-nothing": {"backend": BACKEND, "cookie": None, "sessions": {"maxIdle": None}},
    "empty-parts": {"backend": BACKEND, "cookie": {}, "sessions": {"save": {}}, "sidecar": {}},
    "token": {"backend": BACKEND, "sidecar": {"tokenSecretRef": {"name": "shop"}}},
    "resources": {"backend": BACKEND, "purge": {"resources": {"limits": {"memory": "1Gi"}}}},
    "numbers": {
        "backend": {"type": "MongoDB", "mongodb": {"writeConcern": 2}},
        "sessions": {"maxBytes": 1048576},
        "sidecar": {"traceRatio": 0.25, "resources": {"limits": {"cpu": 1}}},
    },
    "l2": {
        "backend": {**BACKEND, "l2": {"type": "Memcached", "memcached": {"servers": ["[::1]:1"]}}}
    },
}


@pytest.fixture(scope="module")
def answers(control_plane: ControlPlane, crds: None) -> dict[str, Answer]:
    del crds
    return asyncio.run(made_dry(control_plane.kubeconfig, SPECS))


@pytest.mark.parametrize(("key", "spec"), SPECS.items(), ids=SPECS)
def test_defaults_appear_and_are_those_of_python(
    answers: dict[str, Answer], key: str, spec: Spec
) -> None:
    answer = answers[key]

    assert answer.is_taken, answer.message
    assert answer.spec == without_none(msgspec.to_builtins(decode_spec(spec)))


def without_none(data: object) -> object:
    """The data as JSON has it, where what is absent is left out."""
    if isinstance(data, dict):
        return {key: without_none(value) for key, value in data.items() if value is not None}
    return [without_none(item) for item in data] if isinstance(data, list | tuple) else data
