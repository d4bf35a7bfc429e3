from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moorline_api import (
    BackendType,
    ClusterIdentity,
    InvalidSpec,
    SameSite,
    SessionClusterSpec,
    Violation,
    decode,
    decode_spec,
)

from tests.api.broken_rules import BROKEN_RULES, KEPT_RULES
from tests.api.cases import BACKEND, Spec, Wrong
from tests.api.wrong_values import WRONG_VALUES

TABLE = (*WRONG_VALUES, *BROKEN_RULES)


def mistakes(data: object, *, require_backend: bool = True) -> tuple[Violation, ...]:
    with pytest.raises(InvalidSpec) as raised:
        decode_spec(data, require_backend=require_backend)
    return raised.value.violations


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.id)
def test_a_wrong_spec_is_refused_with_its_path_and_the_cure(case: Wrong) -> None:
    found = mistakes(case.spec)

    assert [violation.path for violation in found] == [case.path]
    assert case.cure in found[0].message


def test_every_case_of_the_tables_has_a_name_of_its_own() -> None:
    ids = sorted(case.id for case in TABLE)

    assert all(one != other for one, other in pairwise(ids))


@pytest.mark.parametrize("spec", KEPT_RULES.values(), ids=KEPT_RULES)
def test_a_spec_at_the_edge_of_a_rule_is_taken(spec: Spec) -> None:
    assert decode_spec(spec).backend.type == spec["backend"]["type"]


def test_all_mistakes_are_named_in_one_go() -> None:
    spec = {
        "backend": {"type": "MongoDB", "mongodb": {"writeConcern": 0, "uri": "x"}, "redis": {}},
        "sessions": {"maxIdle": 30, "save": {"mode": "Now"}},
        "cookie": {"name": "__Host-S", "path": "/shop", "secure": False, "maxAge": "1y"},
        "sidecar": {"port": 7072, "logLevel": "loud"},
        "sesions": {},
    }

    assert {violation.path for violation in mistakes(spec)} == {
        "spec.sesions",
        "spec.backend.mongodb.uri",
        "spec.backend.mongodb.writeConcern",
        "spec.backend.redis",
        "spec.sessions.maxIdle",
        "spec.sessions.save.mode",
        "spec.cookie.maxAge",
        "spec.cookie.secure",
        "spec.cookie.path",
        "spec.sidecar.logLevel",
        "spec.sidecar.opsPort",
    }


def test_rules_on_the_rest_are_checked_beside_an_unusable_backend() -> None:
    spec = {"backend": {"type": "Oracle"}, "purge": {"invalidAge": "1m", "schedule": "@every 1h"}}

    assert [violation.path for violation in mistakes(spec)] == [
        "spec.backend.type",
        "spec.purge.schedule",
        "spec.purge.invalidAge",
    ]


def test_a_rule_says_nothing_about_a_value_that_is_wrong_by_itself() -> None:
    spec = {"backend": BACKEND, "cookie": {"name": "__Host-a b", "secure": False}}

    assert [violation.path for violation in mistakes(spec)] == ["spec.cookie.name"]


def test_the_text_of_the_error_has_a_line_per_mistake() -> None:
    with pytest.raises(InvalidSpec) as raised:
        decode_spec({"backend": BACKEND, "suspend": "no", "cache": 1})

    lines = str(raised.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["spec.cache", "spec.suspend"]


def test_a_partial_spec_gets_the_defaults_of_the_rest() -> None:
    spec = decode_spec({"backend": BACKEND, "cookie": {"sameSite": "Strict"}})

    assert spec.cookie.same_site is SameSite.STRICT
    assert spec.cookie.name == "SESSION"
    assert spec.sessions.max_idle == "30m"


def test_null_is_the_same_as_nothing() -> None:
    spec = {"backend": BACKEND, "cookie": None, "sessions": {"maxIdle": None}, "suspend": None}

    assert decode_spec(spec) == decode_spec({"backend": BACKEND})


@pytest.mark.parametrize("data", [None, {}, {"backend": None}], ids=repr)
def test_without_a_backend_where_none_is_required_it_is_mongodb(data: object) -> None:
    backend = decode_spec(data, require_backend=False).backend

    assert backend.type is BackendType.MONGODB
    assert backend.mongodb is not None


def test_a_backend_that_is_not_required_must_still_be_right() -> None:
    found = mistakes({"backend": {"type": "Redis"}}, require_backend=False)

    assert [violation.path for violation in found] == ["spec.backend.redis"]


@pytest.mark.parametrize("data", ["mongodb://ada:pw@db", [], 1, True], ids=repr)
def test_what_is_no_mapping_is_no_spec(data: object) -> None:
    (violation,) = mistakes(data)

    assert violation.path == "spec"
    assert violation.message.startswith("write a mapping with backend, sessions")


@pytest.mark.parametrize("name", ["s", "shop", "shop-2", "s" * 35])
def test_the_identity_of_a_cluster_is_read_in_the_same_way(name: str) -> None:
    identity = decode({"name": name, "namespace": "web"}, ClusterIdentity, path="cluster")

    assert (identity.name, identity.namespace) == (name, "web")


@pytest.mark.parametrize(
    ("data", "paths"),
    [
        ({"name": "s" * 36}, ["cluster.name"]),
        ({"name": "1shop", "namespace": "Web"}, ["cluster.name", "cluster.namespace"]),
        ({"name": "shop-"}, ["cluster.name"]),
        ({"name": ""}, ["cluster.name"]),
        ({"nam": "shop"}, ["cluster.nam", "cluster.name"]),
        ("shop", ["cluster"]),
    ],
)
def test_mistakes_in_an_identity_are_named_in_the_same_way(data: object, paths: list[str]) -> None:
    with pytest.raises(InvalidSpec) as raised:
        decode(data, ClusterIdentity, path="cluster")

    assert [violation.path for violation in raised.value.violations] == paths


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
_PARTS = ("sessions", "cookie", "cache", "scavenge", "purge", "workers", "sidecar", "monitoring")
_FIELDS = ("maxIdle", "maxBytes", "name", "port", "schedule", "save", "resources", "suspend")


@given(
    backend=_JSON | st.just(BACKEND),
    parts=st.dictionaries(
        st.sampled_from(_PARTS),
        _JSON | st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=4),
        max_size=4,
    ),
)
def test_whatever_is_read_is_a_spec_or_a_list_of_mistakes(backend: object, parts: Spec) -> None:
    outcome = decoded({"backend": backend, **parts})

    if isinstance(outcome, InvalidSpec):
        assert outcome.violations
    else:
        assert decode_spec(msgspec.to_builtins(outcome)) == outcome


def decoded(data: object) -> SessionClusterSpec | InvalidSpec:
    try:
        return decode_spec(data)
    except InvalidSpec as error:
        return error


def test_fields_of_a_newer_type_are_left_out_where_the_api_server_has_checked_them() -> None:
    backend = {"backend": BACKEND}
    newer = {**backend, "sessions": {"maxIdle": "7m", "colour": "red"}, "quantum": {}}
    spec = decode_spec(newer, allow_unknown=True)
    assert spec == decode_spec({**backend, "sessions": {"maxIdle": "7m"}})
    with pytest.raises(InvalidSpec) as caught:
        decode_spec({**newer, "cache": {"mode": "Quantum"}}, allow_unknown=True)
    assert [found.path for found in caught.value.violations] == ["spec.cache.mode"]
