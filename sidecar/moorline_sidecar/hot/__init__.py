"""What most requests touch: in C where there is a build of it, else in Python.

Both behave the same, and are held to the same tests. Which one it is, is chosen when this is first
imported: `MOORLINE_PURE_PYTHON=1` in the environment makes it Python's.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final

from moorline_sidecar.hot import plain
from moorline_sidecar.hot.plain import ID_BYTES, LINE_BYTES, START, TIMES_BYTES

_CHOSEN: Final = (
    *("Answer", "Names", "Hits", "Standing", "Times", "Flow", "Receiver"),
    *("found", "hit", "instant"),
)


def _choose() -> ModuleType:
    if os.environ.get("MOORLINE_PURE_PYTHON") == "1":
        return plain
    try:
        built = import_module("moorline_sidecar.hot._compiled")
    except ImportError:
        return plain
    # In a checkout there may be one that another Python has built, of older sources.
    return built if all(hasattr(built, name) for name in _CHOSEN) else plain


chosen: Final = _choose()

if TYPE_CHECKING:  # it has no types of its own, but the same ones
    from moorline_sidecar.hot.plain import (
        Answer,
        Flow,
        Hits,
        Names,
        Receiver,
        Standing,
        Times,
        found,
        hit,
        instant,
    )
else:
    Answer, Names, Hits = chosen.Answer, chosen.Names, chosen.Hits
    Standing, Times = chosen.Standing, chosen.Times
    Flow, Receiver = chosen.Flow, chosen.Receiver
    found, hit, instant = chosen.found, chosen.hit, chosen.instant

__all__ = [
    "ID_BYTES",
    "IS_COMPILED",
    "LINE_BYTES",
    "START",
    "TIMES_BYTES",
    "Answer",
    "Flow",
    "Hits",
    "Names",
    "Receiver",
    "Standing",
    "Times",
    "found",
    "hit",
    "instant",
]

IS_COMPILED: Final[bool] = chosen is not plain
