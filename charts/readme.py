"""The table of the chart's values in its README, made from the comments of values.yaml.

`python charts/readme.py` fills charts/moorline/README.md in place, between the lines
`<!-- values -->` and `<!-- end of values -->`. A value's comment are the lines right above its key.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml
from msgspec import Struct

CHART: Final = Path(__file__).parent / "moorline"

_SECTION: Final = re.compile(
    r"(?<=^<!-- values -->\n).*?(?=^<!-- end of values -->$)", re.DOTALL | re.MULTILINE
)


class Uncommented(Exception):
    """A value has no comment; the text is its path."""


class Value(Struct, frozen=True, kw_only=True):
    """One value: its path as `image.tag`, its default, and what is said of it."""

    path: str
    default: object
    comment: str


def filled(page: str, values: str) -> str:
    """The page with its table made anew from the text of values.yaml.

    Raises:
        Uncommented: see there.
    """
    rows = "".join(map(_row, values_of(values)))
    table = f"\n| Value | Default | What it is |\n|---|---|---|\n{rows}\n"
    return _SECTION.sub(lambda _found: table, page)


def values_of(text: str) -> list[Value]:
    """All values in their order; a mapping that says nothing of itself counts by its members.

    Raises:
        Uncommented: see there.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(node, yaml.MappingNode)  # noqa: S101 - a chart's values always are one
    return list(_members(node, text.splitlines(), ""))


def _members(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Value]:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        comment = _comment_above(lines, key.start_mark.line)
        if comment:
            default = yaml.safe_load(yaml.serialize(value))
            yield Value(path=path, default=default, comment=comment)
        elif isinstance(value, yaml.MappingNode) and value.value:
            yield from _members(value, lines, f"{path}.")
        else:
            raise Uncommented(path)


def _comment_above(lines: list[str], line: int) -> str:
    first = line
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(each.lstrip().removeprefix("#").strip() for each in lines[first:line])


def _row(value: Value) -> str:
    default = json.dumps(value.default, ensure_ascii=False)
    return f"| `{value.path}` | `{default}` | {value.comment.replace('|', chr(92) + '|')} |\n"


def main() -> int:
    page = CHART / "README.md"
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    page.write_text(filled(page.read_text(encoding="utf-8"), values), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
