"""What the CustomResourceDefinition owes to its readers; tests/operator has the real API server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from moorline_api import RULES, TRANSITIONS, Choice, Rule, Transition
from moorline_api.schema import custom_resource_definition, text

CRDS = Path(__file__).parents[2] / "crds"
CRD = custom_resource_definition()
(VERSION,) = CRD["spec"]["versions"]


def nodes_below(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, each in schema.get("properties", {}).items():
        yield from nodes_below(each, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes_below(schema[key], f"{path}[]")


PARTS = VERSION["schema"]["openAPIV3Schema"]["properties"]
SPEC = dict(nodes_below(PARTS["spec"], "spec"))
STATUS = dict(nodes_below(PARTS["status"], "status"))
NODES = {**SPEC, **STATUS}


def test_the_file_is_what_the_model_makes() -> None:
    committed = (CRDS / "moorline.io_sessionclusters.yaml").read_text(encoding="utf-8")

    assert committed == text(), "make it anew: make crds"


def test_the_file_says_what_the_data_say() -> None:
    assert yaml.safe_load(text()) == CRD


@pytest.mark.parametrize(("path", "node"), NODES.items(), ids=NODES)
def test_every_node_is_bounded(path: str, node: dict[str, Any]) -> None:
    bounds = {"array": "maxItems", "string": "maxLength"}
    bound = bounds.get(node.get("type", "string"))

    assert bound is None or bound in node or "enum" in node, path
    assert "additionalProperties" not in node or "maxProperties" in node


@pytest.mark.parametrize("path", [path for path in NODES if not path.endswith("]")])
def test_every_field_is_explained(path: str) -> None:
    assert NODES[path]["description"]


@pytest.mark.parametrize("path", [path for path, node in SPEC.items() if "enum" in node])
def test_every_choice_is_explained_with_its_risk(path: str) -> None:
    choices = [each for kind in Choice.__subclasses__() for each in kind]
    risks = {f"{each.value}: {each.risk}" for each in choices}

    told = set(SPEC[path]["description"].splitlines())

    assert len(told & risks) == len(SPEC[path]["enum"])


@pytest.mark.parametrize("path", [path for path, node in SPEC.items() if "required" in node])
def test_what_is_required_has_no_default(path: str) -> None:
    assert not any("default" in SPEC[f"{path}.{name}"] for name in SPEC[path]["required"])


@pytest.mark.parametrize("path", STATUS)
def test_what_was_not_observed_has_no_default(path: str) -> None:
    assert "default" not in STATUS[path]


def test_every_rule_is_carried_by_the_node_it_is_about() -> None:
    carried = [
        (path, each["rule"], each["message"], f"{path}{each['fieldPath']}")
        for path, node in SPEC.items()
        for each in node.get("x-kubernetes-validations", ())
        if "fieldPath" in each
    ]

    rules: tuple[Rule | Transition, ...] = (*RULES, *TRANSITIONS)
    assert sorted(carried) == sorted(
        (each.scope, each.cel, each.message, each.path) for each in rules
    )


def test_where_a_pattern_would_repeat_a_password_a_sentence_stands_alone() -> None:
    for name in ("name", "key"):
        node = SPEC[f"spec.backend.mongodb.connectionSecretRef.{name}"]
        assert "pattern" not in node
        assert node["x-kubernetes-validations"]


def test_conditions_are_told_apart_by_their_type() -> None:
    conditions = STATUS["status.conditions"]

    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


@pytest.mark.parametrize(
    "column", VERSION["additionalPrinterColumns"], ids=lambda each: each["name"]
)
def test_a_column_shows_what_is_there(column: dict[str, Any]) -> None:
    path = column["jsonPath"].removeprefix(".").replace('[?(@.type=="Ready")]', "[]")

    assert path in NODES or path == "metadata.creationTimestamp"
