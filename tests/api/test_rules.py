"""What the rules say of themselves; what they refuse is in the tables of test_decoding.py."""

import pytest
from moorline_api import (
    RULES,
    TRANSITIONS,
    Rule,
    SessionClusterSpec,
    Transition,
    decode_spec,
    transition_violations,
    violations,
)

from tests.api.broken_rules import BROKEN_RULES
from tests.api.cases import Spec

# Characters of a message that the API server takes.
LONGEST_MESSAGE = 2048


def mongodb(**fields: object) -> SessionClusterSpec:
    return decode_spec({"backend": {"type": "MongoDB", "mongodb": fields}})


def test_a_spec_of_defaults_breaks_no_rule() -> None:
    assert violations(decode_spec({"backend": {"type": "Memory"}})) == ()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.path} {rule.cel}")
def test_every_rule_is_broken_by_a_case_of_the_table(rule: Rule) -> None:
    assert any(rule.path == case.path and case.cure in rule.message for case in BROKEN_RULES)


@pytest.mark.parametrize("rule", [*RULES, *TRANSITIONS], ids=lambda rule: f"{rule.path} {rule.cel}")
def test_a_rule_fits_into_the_schema(rule: Rule | Transition) -> None:
    assert rule.path.startswith(f"{rule.scope}.")
    assert rule.cel
    assert len(rule.message) <= LONGEST_MESSAGE
    assert "\n" not in rule.message


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.path} {rule.cel}")
def test_a_rule_reads_what_it_tells_to_repair(rule: Rule) -> None:
    assert rule.path in rule.reads


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda rule: rule.path)
def test_a_transition_compares_with_the_old_value(transition: Transition) -> None:
    assert "oldSelf." in transition.cel


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        pytest.param({}, {"writeConcern": 1}, [], id="write-concern"),
        pytest.param({}, {"connectionSecretRef": {"name": "a"}}, [], id="secret"),
        pytest.param({}, {"database": "sessions"}, [], id="the-default-spelt-out"),
        pytest.param({}, {"database": "x"}, ["spec.backend.mongodb.database"], id="database"),
        pytest.param({}, {"collection": "x"}, ["spec.backend.mongodb.collection"], id="collection"),
        pytest.param(
            {"database": "a", "collection": "a"},
            {"database": "b", "collection": "b"},
            ["spec.backend.mongodb.database", "spec.backend.mongodb.collection"],
            id="both",
        ),
    ],
)
def test_where_the_sessions_are_stays_as_it_is(old: Spec, new: Spec, paths: list[str]) -> None:
    found = transition_violations(mongodb(**old), mongodb(**new))

    assert [violation.path for violation in found] == paths
    assert all("keep it" in violation.message for violation in found)


def test_the_type_of_the_backend_stays_as_it_is() -> None:
    (violation,) = transition_violations(mongodb(), decode_spec({"backend": {"type": "Memory"}}))

    assert violation.path == "spec.backend.type"
    assert "a new SessionCluster" in violation.message
