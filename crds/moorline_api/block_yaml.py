"""Writes plain data as block YAML, for files that people read.

There is one way to write each value, and mappings keep their order: the same data is the same
text, and two versions can be compared line by line.
"""

import json
import re
from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Final

# Columns, the indentation included; a longer word stays whole.
_WIDTH: Final = 100
_INDENT: Final = "  "
# Texts that need no quotes: they begin like no number and no sign of YAML's, and hold nothing
# that ends a text.
_PLAIN: Final = re.compile('[A-Za-z/.](?:[!-9;-~]|:(?=[!-~])| (?=[!"$-~]))*')
# Texts that would be taken for something else, in YAML 1.1 or 1.2.
_NO_TEXT: Final = frozenset(
    ("y", "n", "yes", "no", "on", "off", "true", "false", "null", ".", ".inf", ".nan")
)


def block_yaml(data: Mapping[str, object]) -> str:
    """The data as one document; it holds what JSON knows, with texts as keys.

    Raises:
        TypeError: it holds anything else.
    """
    return "".join(f"{line}\n" for line in _lines(data, ""))


def _lines(value: object, indent: str) -> Iterator[str]:
    match value:
        case Mapping() if value:
            for key, each in value.items():
                yield from _entry(f"{indent}{_inline(key)}:", each, indent)
        case list() | tuple() if value:
            for item in value:
                first, *rest = _lines(item, f"{indent}{_INDENT}")
                yield f"{indent}- {first.removeprefix(f'{indent}{_INDENT}')}"
                yield from rest
        case _:
            yield f"{indent}{_inline(value)}"


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, str) and _is_folded(value, head):
        yield f"{head} >-"
        yield from _folded(value, f"{indent}{_INDENT}")
    elif isinstance(value, Mapping | list | tuple) and value:
        yield head
        yield from _lines(value, f"{indent}{_INDENT}")
    else:
        yield f"{head} {_inline(value)}"


def _inline(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NO_TEXT:
        return value
    # JSON is YAML, and the better readable without escapes where there need be none.
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)


def _is_folded(text: str, head: str) -> bool:
    """Whether a text is too long for the line of its key, and is the same again when folded."""
    lines = text.split("\n")
    is_long = len(lines) > 1 or len(head) + 1 + len(_inline(text)) > _WIDTH
    is_kept = all(line.isprintable() and line == line.strip() for line in lines)
    return is_long and is_kept and "" not in (lines[0], lines[-1]) and "  " not in text


def _folded(text: str, indent: str) -> Iterator[str]:
    """The lines of a folded text: an end of line is a space, an empty line an end of line."""
    for number, line in enumerate(text.split("\n")):
        if number:
            yield ""
        yield from wrap(
            line,
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
