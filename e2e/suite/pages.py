"""The commands that a page of the documentation tells a person to type."""

from __future__ import annotations

from tests.sidecar.pages import blocks, section


def commands_below(heading: str, page: str) -> list[str]:
    """Those of the first block below a heading, such as `## Install`, each with all its lines.

    Raises:
        AssertionError: there is no such heading.
        IndexError: there is no such block.
    """
    text = blocks(section(page, heading), "sh")[0]
    return text.replace("\\\n", "").splitlines()
