"""What every field of the model owes to those who read its schema."""

import re
from collections.abc import Iterator

import pytest
from moorline_api import BackendType, Choice, ClusterIdentity, SessionClusterSpec
from moorline_api import SessionClusterStatus as Status
from moorline_api.base import Model
from moorline_api.shapes import Shape, fits, shape_of
from msgspec import inspect

# RE2, which the API server uses, has none of these.
NOT_IN_RE2 = ("(?=", "(?!", "(?<", "(?P=", r"\Z", r"\z")


def fields_of(node: inspect.Type, path: str) -> Iterator[tuple[str, inspect.Type]]:
    """Every node below one, with its path; items of lists and mappings as `path[]`."""
    match shape_of(node).node:
        case inspect.StructType(fields=fields):
            for field in fields:
                yield f"{path}.{field.encode_name}", field.type
                yield from fields_of(field.type, f"{path}.{field.encode_name}")
        case inspect.VarTupleType(item_type=item) | inspect.DictType(value_type=item):
            yield f"{path}[]", item
            yield from fields_of(item, f"{path}[]")
        case _:
            return


def all_fields() -> dict[str, inspect.Type]:
    roots: dict[str, type[Model]] = {
        "cluster": ClusterIdentity,
        "spec": SessionClusterSpec,
        "status": Status,
    }
    found: dict[str, inspect.Type] = {}
    for path, model in roots.items():
        found |= dict(fields_of(inspect.type_info(model), path))
    return found


FIELDS = all_fields()
SHAPES = {path: shape_of(node) for path, node in FIELDS.items()}
TEXTS = {
    path: shape
    for path, shape in SHAPES.items()
    if isinstance(shape.node, inspect.StrType | inspect.UnionType)
}


def texts_of(node: inspect.Type) -> list[inspect.StrType]:
    alternatives = node.types if isinstance(node, inspect.UnionType) else (node,)
    return [each for each in alternatives if isinstance(each, inspect.StrType)]


@pytest.mark.parametrize("path", [path for path in FIELDS if not path.endswith("]")])
def test_every_field_is_described_in_a_sentence(path: str) -> None:
    node = FIELDS[path]

    assert isinstance(node, inspect.Metadata)
    assert re.match(r"\S.{5,}[.…]$", (node.extra_json_schema or {}).get("description", ""))


@pytest.mark.parametrize(("path", "shape"), TEXTS.items(), ids=TEXTS)
def test_every_text_is_bounded_named_and_exemplified(path: str, shape: Shape) -> None:
    assert all(text.max_length for text in texts_of(shape.node)), path
    assert shape.title
    assert shape.examples
    assert all(fits(example, shape.node) for example in shape.examples)


@pytest.mark.parametrize(("path", "shape"), SHAPES.items(), ids=SHAPES)
def test_every_list_and_mapping_is_bounded(path: str, shape: Shape) -> None:
    if isinstance(shape.node, inspect.VarTupleType | inspect.DictType):
        assert shape.node.max_length, path


@pytest.mark.parametrize(("path", "shape"), SHAPES.items(), ids=SHAPES)
def test_every_number_is_bounded_below(path: str, shape: Shape) -> None:
    if isinstance(shape.node, inspect.IntType | inspect.FloatType):
        assert shape.node.ge is not None, path


@pytest.mark.parametrize(
    "pattern",
    sorted(
        {text.pattern for each in TEXTS.values() for text in texts_of(each.node) if text.pattern}
    ),
)
def test_every_pattern_is_whole_and_known_to_re2(pattern: str) -> None:
    assert pattern.startswith("^")
    assert pattern.endswith("$")
    assert not any(construct in pattern for construct in NOT_IN_RE2)
    # `^a|b$` would let anything follow the a.
    depth = 0
    for character in re.sub(r"\\.|\[[^\]]+\]", "", pattern):
        depth += {"(": 1, ")": -1}.get(character, 0)
        assert (character, depth) != ("|", 0)


@pytest.mark.parametrize("path", [path for path in FIELDS if path.startswith("spec.")])
def test_only_what_has_no_sensible_default_is_required(path: str) -> None:
    parent, _, name = path.rpartition(".")
    node = inspect.type_info(SessionClusterSpec) if parent == "spec" else SHAPES[parent].node
    if not isinstance(node, inspect.StructType):
        return
    required = {field.encode_name for field in node.fields if field.required}

    assert (
        name not in required
        or path
        in {
            "spec.backend",
            "spec.backend.type",
            "spec.backend.l2.type",
            "spec.backend.l2.memcached",
            "spec.backend.l2.memcached.servers",
        }
        or path.endswith("SecretRef.name")
    )


@pytest.mark.parametrize("kind", BackendType)
def test_every_type_of_backend_has_a_member(kind: BackendType) -> None:
    assert f"spec.backend.{kind.member}" in FIELDS


@pytest.mark.parametrize(
    "choice", [each for choices in Choice.__subclasses__() for each in choices], ids=repr
)
def test_every_choice_tells_its_risk(choice: Choice) -> None:
    assert re.match(r"[A-Z].+\.$", choice.risk)
    assert str(choice) == choice.value
