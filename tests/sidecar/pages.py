"""The pages of the documentation, taken apart: sections, tables, code, links and anchors."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import ROOT

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS]

_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
# Fenced, indented by four spaces, or in backquotes.
_CODE = re.compile(r"^```.*?^```$|^ {4}.*?$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def page(name: str) -> str:
    """A page of the folder `docs`."""
    return read(ROOT / "docs" / name)


def section(text: str, heading: str) -> str:
    """What stands below a heading, such as `## Errors`, up to the next one that is not below it."""
    level = heading.index(" ")
    pattern = rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)"
    found = re.search(pattern, text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"there is no {heading}"
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def table(text: str, head: str) -> list[list[str]]:
    """The cells of the first table whose first column is headed so, line by line."""
    lines = text.partition(f"| {head} |")[2].splitlines()[2:]
    cells = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip("|").split("|")])
    assert cells, f"there is no table with {head}"
    return cells


def names(text: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`\n]+)`", text)


def code(text: str) -> str:
    """All code of a page, and nothing else."""
    return "\n".join(_CODE.findall(text))


def links(text: str) -> Iterator[tuple[str, str]]:
    """File and anchor of each link that leads to this repository; either may be empty."""
    for link in _LINK.findall(_CODE.sub("", text)):
        if not re.match(r"[a-z]+:", link):
            name, _, anchor = link.partition("#")
            yield name, anchor


def anchors(text: str) -> set[str]:
    """The names that a forge gives to the headings of a page."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
