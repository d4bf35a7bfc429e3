"""The API server refuses what Python refuses: the tables of tests/api, asked of a real one."""

import asyncio
import re

import pytest
from moorline_api import InvalidSpec, decode_spec

from tests.api.broken_rules import BROKEN_RULES
from tests.api.cases import BACKEND, Spec, Wrong
from tests.api.wrong_values import WRONG_VALUES
from tests.operator.control_plane import ControlPlane
from tests.operator.type_answers import Answer, made_dry, type_questions

# JSON has texts as keys and no dates, and Python prints no number of 5000 digits.
NOT_IN_JSON = {"number-as-resource", "cpu-date", "huge-port"}
VALUES = [case for case in WRONG_VALUES if case.id not in NOT_IN_JSON]

# What the API server says of types, choices, lengths and unknown fields; no other sentence can be
# given for these. An overflow is an error in CEL, with the sentence about durations behind it.
OWN_WORDS = (
    "Required value",
    "must be of type (object|array|string|boolean|integer|number|integer,string): ",
    'Unsupported value: .+: supported values: "',
    "Too long: may not be more than [0-9]+ bytes",
    "Too many: [0-9]+: must have at most [0-9]+ items",
    "should have at least 1 items",
    "should be (less|greater) than or equal to [0-9]+",
    'strict decoding error: unknown field "',
    "evaluating rule: write a duration",
)

# The API server and Python must agree about each as a value of `sessions.maxIdle`.
DURATIONS = (
    *("0", "0s", "0.0h", "1h30m", "30m1h", "500ms", "1.5h", "1h1h", "1ns", "1000\u00b5s"),
    *("1000\u03bcs", "2562047h47m16.854s", "", " ", "1", "-1s", "+1s", "1 s", "1s\n", "1d", "1H"),
    *("1min", ".5s", "5.s", "1,5s", "00", "\u0661s", "3 days", "PT1H", "2562048h", "1s" * 13),
)
# The same of `sessions.maxBytes`.
SIZES = (
    *(1, 1_048_576, "1048576", "1Mi", "1k", "1.5Gi", "0.1k", "1.0001", "1E", "1E3", "1.04e+06"),
    *("7Ei", 0, "0", "0.0", -1, "", " ", "Mi", "1 Mi", "1Mi\n", "1MB", "1mi", "1K", "-1Mi", "+1Mi"),
    *(".5Gi", "1.", "1e", "1e-3", "1e100", "0x10", "\u0661Mi", "100m", "8Ei", "9e18E", "0" * 25),
)
EDGES: dict[str, Spec] = {
    **{f"duration-{n}": {"maxIdle": text} for n, text in enumerate(DURATIONS)},
    **{f"size-{n}": {"maxBytes": size} for n, size in enumerate(SIZES)},
}


def spec_with(sessions: Spec) -> Spec:
    return {"backend": BACKEND, "sessions": sessions}


def is_read(spec: Spec) -> bool:
    try:
        decode_spec(spec)
    except InvalidSpec:
        return False
    return True


@pytest.fixture(scope="module")
def answers(control_plane: ControlPlane, crds: None) -> dict[str, Answer]:
    del crds
    specs: dict[str, object] = {case.id: case.spec for case in (*VALUES, *BROKEN_RULES)}
    specs |= {key: spec_with(sessions) for key, sessions in EDGES.items()}
    return asyncio.run(made_dry(control_plane.kubeconfig, specs))


@pytest.mark.parametrize("case", BROKEN_RULES, ids=lambda case: case.id)
def test_a_broken_rule_is_refused_with_pythons_path_and_cure(
    answers: dict[str, Answer], case: Wrong
) -> None:
    answer = answers[case.id]

    assert answer.status == 422
    assert f"{case.path}: " in answer.message
    assert case.cure in answer.message


@pytest.mark.parametrize("case", VALUES, ids=lambda case: case.id)
def test_a_wrong_value_is_refused_with_its_path_and_the_cure(
    answers: dict[str, Answer], case: Wrong
) -> None:
    answer = answers[case.id]

    assert answer.status in {400, 422}
    assert case.path in answer.message
    assert case.cure in answer.message or re.search("|".join(OWN_WORDS), answer.message)


@pytest.mark.parametrize(("key", "sessions"), EDGES.items(), ids=lambda each: repr(each)[:40])
def test_a_duration_or_size_is_taken_if_python_reads_it(
    answers: dict[str, Answer], key: str, sessions: Spec
) -> None:
    assert answers[key].is_taken == is_read(spec_with(sessions))


async def test_all_broken_rules_are_named_in_one_go(
    control_plane: ControlPlane, crds: None
) -> None:
    del crds
    spec = {
        "backend": {**BACKEND, "redis": {}},
        "cookie": {"name": "__Host-S", "path": "/shop", "secure": False},
        "purge": {"invalidAge": "1m", "schedule": "@every 1h"},
    }

    async with type_questions(control_plane.kubeconfig, "default") as ask:
        answer = await ask.made(spec)

    assert set(re.findall(r"(spec\.[.\w]+): ", answer.message)) == {
        "spec.backend.redis",
        "spec.cookie.path",
        "spec.cookie.secure",
        "spec.purge.invalidAge",
        "spec.purge.schedule",
    }


async def test_what_is_no_duration_is_named_once_by_a_sentence(
    control_plane: ControlPlane, crds: None
) -> None:
    del crds

    async with type_questions(control_plane.kubeconfig, "default") as ask:
        answer = await ask.made({"backend": BACKEND, "purge": {"invalidAge": "3d"}})

    assert answer.message.count("write ") == 1
    assert "evaluating rule" not in answer.message


@pytest.mark.parametrize("name", ["s", "shop", "shop-2", "s" * 35])
async def test_a_name_is_taken(control_plane: ControlPlane, crds: None, name: str) -> None:
    del crds

    async with type_questions(control_plane.kubeconfig, "default") as ask:
        answer = await ask.made({"backend": BACKEND}, name=name)

    assert answer.is_taken


@pytest.mark.parametrize("name", ["s" * 36, "1shop", "shop.web"])
async def test_a_name_is_refused_that_children_could_not_begin_with(
    control_plane: ControlPlane, crds: None, name: str
) -> None:
    del crds

    async with type_questions(control_plane.kubeconfig, "default") as ask:
        answer = await ask.made({"backend": BACKEND}, name=name)

    assert 'metadata.name: Invalid value: "object": write lower-case letters' in answer.message
    assert "at most 35 characters" in answer.message


@pytest.mark.parametrize("field", ["name", "key"])
async def test_no_refusal_repeats_what_may_be_a_password(
    control_plane: ControlPlane, crds: None, field: str
) -> None:
    del crds
    reference = {"name": "shop", field: "mongodb://ada:swordfish@db"}
    backend = {"type": "MongoDB", "mongodb": {"connectionSecretRef": reference}}

    async with type_questions(control_plane.kubeconfig, "default") as ask:
        answer = await ask.made({"backend": backend})

    assert not answer.is_taken
    assert "swordfish" not in str(answer.body)
