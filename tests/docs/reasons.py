"""The reasons that the operator's code can give, read from its source."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.architecture.source import ROOT

STATUS: Final = ROOT / "operator" / "moorline_operator" / "status"

_FINDINGS: Final = {"good", "bad", "unknown"}


def reasons_in(*names: str) -> set[str]:
    """The reasons of all findings that these modules of `status` make.

    Counted are the literal words that `good`, `bad` and `unknown` are called with. What they are
    called with by a variable comes from tables, which the caller knows.
    """
    return {
        word
        for name in names
        for call in _calls(STATUS / f"{name}.py")
        if isinstance(call.args[0], ast.Constant) and isinstance(word := call.args[0].value, str)
    }


def modules_with_findings() -> set[str]:
    """The modules of `status` that make findings."""
    return {path.stem for path in STATUS.glob("*.py") if next(_calls(path), None) is not None}


def _calls(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[_, *_]) if name in _FINDINGS:
                yield node
