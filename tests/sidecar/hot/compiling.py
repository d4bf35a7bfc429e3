"""What a machine needs to compile what hits touch."""

import shutil
import sysconfig
from pathlib import Path
from typing import Final

import pytest

COMPILER: Final = shutil.which("cc")
INCLUDED: Final = Path(sysconfig.get_path("include"))

needs_compiler: Final = pytest.mark.skipif(
    COMPILER is None or not (INCLUDED / "Python.h").exists(),
    reason="no C compiler, or no Python.h (Debian: gcc libc6-dev python3-dev)",
)
