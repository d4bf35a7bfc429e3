"""The field reference: parts of the spec as Markdown, made from the model that reads them.

`python -m moorline_api.reference PAGE` fills a page in place. Between the lines
`<!-- fields of spec.cookie -->` and `<!-- end of fields -->` it writes what `fields_of` makes of
that path.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT, UNSET, Struct, inspect

from moorline_api.choices import Choice
from moorline_api.messages import expected
from moorline_api.model import SessionClusterSpec
from moorline_api.shapes import Shape, shape_of

_ROOT: Final = "spec"
_SECTION: Final = re.compile(
    r"^(<!-- fields of ([\w.]+) -->\n).*?(?=^<!-- end of fields -->$)", re.DOTALL | re.MULTILINE
)


class Row(Struct, frozen=True, kw_only=True):
    """One field: its name below the section, what it takes and its default in plain data.

    `default` is UNSET where the field has to be given.
    """

    name: str
    shape: Shape
    description: str
    default: object


def filled(page: str) -> str:
    """The page with every section between its markers made anew.

    Raises:
        KeyError: a marker names what the spec has not.
    """
    return _SECTION.sub(lambda found: f"{found[1]}{fields_of(found[2])}", page)


def fields_of(path: str) -> str:
    """The table of the fields below `path`, and one of the choices among them with their risks.

    Raises:
        KeyError: the spec has no such part.
    """
    part = rows(path)
    choices = [row for row in part if isinstance(row.shape.node, inspect.EnumType)]
    text = _table(("Field", "Takes", "Default", "Why"), *map(_cells, part))
    if choices:
        risks = (cells for row in choices for cells in _risks(row))
        text += _table(("Field", "Choice", "Risk"), *risks)
    return f"\n{text}"


def rows(path: str) -> list[Row]:
    """The fields below `path`, those of mappings inside it as well, as `save.mode`.

    Raises:
        KeyError: as `fields_of`.
    """
    root, *names = path.split(".")
    if root != _ROOT:
        raise KeyError(path)
    node, defaults = shape_of(inspect.type_info(SessionClusterSpec)).node, _defaults({})
    for name in names:
        fields = {field.encode_name: field for field in _fields(node)}
        node = shape_of(fields[name].type).node
        defaults = _defaults(defaults.get(name))
    return list(_rows(node, defaults, ""))


def _rows(node: inspect.Type, above: Mapping[str, object], prefix: str) -> Iterator[Row]:
    for field in _fields(node):
        shape = shape_of(field.type)
        default = above.get(field.encode_name, _default(field))
        name = f"{prefix}{field.encode_name}"
        is_mapping = isinstance(shape.node, inspect.StructType)
        if not is_mapping or default is None:
            yield Row(name=name, shape=shape, description=_description(field), default=default)
        if is_mapping:
            yield from _rows(shape.node, _defaults(default), f"{name}.")


def _fields(node: inspect.Type) -> tuple[inspect.Field, ...]:
    return node.fields if isinstance(node, inspect.StructType) else ()


def _default(field: inspect.Field) -> object:
    if field.default_factory is not NODEFAULT:
        return msgspec.to_builtins(field.default_factory())
    return UNSET if field.default is NODEFAULT else msgspec.to_builtins(field.default)


def _defaults(default: object) -> Mapping[str, Any]:
    """What a mapping says of its members; they say it themselves where it is not there."""
    return default if isinstance(default, Mapping) else {}


def _description(field: inspect.Field) -> str:
    schema = field.type.extra_json_schema if isinstance(field.type, inspect.Metadata) else None
    return str((schema or {})["description"])


def _cells(row: Row) -> tuple[str, ...]:
    is_choice = isinstance(row.shape.node, inspect.EnumType)
    takes = "one of those below" if is_choice else row.shape.title or expected(row.shape)
    return (f"`{row.name}`", takes, _shown(row.default), row.description)


def _shown(default: object) -> str:
    if default is UNSET:
        return "required"
    if default is None:
        return "none"
    return f"`{default if isinstance(default, str) and default else json.dumps(default)}`"


def _risks(row: Row) -> Iterator[tuple[str, ...]]:
    assert isinstance(row.shape.node, inspect.EnumType)  # noqa: S101 - whoever calls looked
    for choice in row.shape.node.cls:
        assert isinstance(choice, Choice)  # noqa: S101 - every choice of the model is one
        yield (f"`{row.name}`", f"`{choice.value}`", choice.risk)


def _table(*lines: tuple[str, ...]) -> str:
    head, *rest = (f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{head}{'|---' * len(lines[0])}|\n{''.join(rest)}\n"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
