"""The source files of the repository, as paths and as syntax trees."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIDECAR = ROOT / "sidecar" / "moorline_sidecar"
API = ROOT / "crds" / "moorline_api"


def modules(folder: Path) -> list[Path]:
    """Every Python file below a folder, in a stable order."""
    return sorted(folder.rglob("*.py"))


def parse(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    """A path as it is written from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> set[str]:
    """Every module or `module.name` that a tree imports from outside its own package."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def dotted(node: ast.AST) -> str:
    """`datetime.datetime.now` for that expression; empty for one that is not just names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""
