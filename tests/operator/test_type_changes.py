"""What stays as it is when a SessionCluster changes, by the API server alone."""

import asyncio
from pathlib import Path

import pytest
from moorline_api import TRANSITIONS

from tests.api.cases import BACKEND, Spec
from tests.operator.control_plane import ControlPlane
from tests.operator.type_answers import Answer, type_questions

REFUSED: dict[str, Spec] = {
    "spec.backend.type": {"backend": {"type": "Memory", "mongodb": None}},
    "spec.backend.mongodb.database": {"backend": {"mongodb": {"database": "other"}}},
    "spec.backend.mongodb.collection": {"backend": {"mongodb": {"collection": "other"}}},
}
SQL: dict[str, object] = {"table": "other", "columns": {"accessed": "accessTime"}}
REFUSED_OF_OTHERS: dict[str, dict[str, object]] = {
    "PostgreSQL": SQL,
    "MySQL": SQL,
    "SQLite": {**SQL, "path": "/other/sessions.db"},
    "File": {"directory": "/other"},
    "Redis": {"keyPrefix": "other:"},
    "Hazelcast": {"mapName": "other"},
    "Infinispan": {"cacheName": "other"},
    "Datastore": {"project": "other-project", "kind": "Other"},
}
TAKEN: dict[str, Spec] = {
    "write-concern": {"backend": {"mongodb": {"writeConcern": 1}}},
    "secret": {"backend": {"mongodb": {"connectionSecretRef": {"name": "other"}}}},
    "the-default-spelt-out": {"backend": {"mongodb": {"database": "sessions"}}},
    "cookie": {"cookie": {"sameSite": "Strict"}},
    "back-to-a-default": {"cookie": None},
}


@pytest.fixture
def answers(control_plane: ControlPlane, crds: None, namespace: str) -> dict[str, Answer]:
    del crds
    return asyncio.run(changed(control_plane.kubeconfig, namespace))


async def changed(kubeconfig: Path, namespace: str) -> dict[str, Answer]:
    async with type_questions(kubeconfig, namespace) as ask:
        made = await ask.made({"backend": BACKEND}, name="shop", is_dry=False)
        assert made.is_taken, made.message
        changes = {**REFUSED, **TAKEN}
        found = {key: await ask.merged("shop", change) for key, change in changes.items()}
        for kind, fields in REFUSED_OF_OTHERS.items():
            member = kind.lower()
            spec = {"backend": {"type": kind, member: {}}}
            made = await ask.made(spec, name=member, is_dry=False)
            assert made.is_taken, made.message
            for field, value in fields.items():
                change = {"backend": {member: {field: value}}}
                found[f"spec.backend.{member}.{field}"] = await ask.merged(member, change)
        return found


def test_what_would_leave_sessions_behind_is_refused_with_its_sentence(
    answers: dict[str, Answer],
) -> None:
    for transition in TRANSITIONS:
        answer = answers[transition.path]
        assert answer.status == 422
        assert f"{transition.path}: Forbidden: {transition.message}" in answer.message


def test_all_else_may_change(answers: dict[str, Answer]) -> None:
    assert {key: answers[key].message for key in TAKEN} == dict.fromkeys(TAKEN, "")
