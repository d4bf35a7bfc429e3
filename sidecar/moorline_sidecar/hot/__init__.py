"""What every hit touches: in C where there is a build of it, else in Python.

Both behave the same, and are held to the same tests. Which one it is, is chosen when this is first
imported: `MOORLINE_PURE_PYTHON=1` in the environment makes it Python's.
"""

from __future__ import annotations

import os
from typing import Final

from moorline_sidecar.hot import plain

try:
    if os.environ.get("MOORLINE_PURE_PYTHON") == "1":
        raise ImportError  # noqa: TRY301 - as if nothing was built
    from moorline_sidecar.hot import _compiled as chosen
except ImportError:
    from moorline_sidecar.hot import plain as chosen  # type: ignore[no-redef] # of the same names

__all__ = ["IS_COMPILED", "instant"]

IS_COMPILED: Final = chosen is not plain

instant: Final = chosen.instant
