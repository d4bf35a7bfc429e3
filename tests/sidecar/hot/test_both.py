"""What hits touch passes its tests as it was not chosen: in Python, and watched by sanitizers."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, SIDECAR
from tests.sidecar.commands import environ
from tests.sidecar.hot.compiling import COMPILER, INCLUDED, needs_compiler

OWN = [
    f"tests/sidecar/hot/{path.name}"
    for path in sorted(Path(__file__).parent.glob("test_*.py"))
    if path.stem not in {"test_both", "test_building", "test_choosing"}
]
USERS = ["tests/sidecar/cache", "tests/sidecar/sessions/test_touching.py"]
HTTP = [
    "test_protocol_hits",
    "test_rendering",
    "test_shortcut",
    "test_shortcut_by_cookie",
    "test_shortcut_differential",
]
USERS += [f"tests/sidecar/http/{name}.py" for name in HTTP]


def passes(tests: list[str], environment: dict[str, str]) -> str:
    """What a run of tests says."""
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "-n0"]
    run = subprocess.run(
        [*command, *tests],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    return run.stdout


@pytest.mark.timeout(400)
def test_users_of_what_hits_touch_do_with_python_alone() -> None:
    assert " passed" in passes(USERS, {"MOORLINE_PURE_PYTHON": "1"})


def library(name: str) -> Path:
    """The compiler's own."""
    said = subprocess.check_output([str(COMPILER), f"-print-file-name={name}"], text=True)
    return Path(said.strip())


@pytest.mark.timeout(400)
@needs_compiler
def test_no_byte_is_touched_that_is_not_its_own(tmp_path: Path) -> None:
    # Whoever imports it for the first time puts files beside it that are there for a moment.
    momentary = shutil.ignore_patterns("__pycache__")
    package = Path(shutil.copytree(SIDECAR, tmp_path / SIDECAR.name, ignore=momentary))
    built = package / "hot" / f"_compiled{sysconfig.get_config_var('EXT_SUFFIX')}"
    watching = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1", "-g"]
    subprocess.run(
        [
            str(COMPILER),
            "-std=c11",
            "-fPIC",
            "-shared",
            *watching,
            f"-I{INCLUDED}",
            str(package / "hot" / "_compiled.c"),
            "-o",
            str(built),
        ],
        check=True,
    )
    environment = {
        "PYTHONPATH": str(tmp_path),
        "PYTHONMALLOC": "malloc",  # or it would see arenas, and no objects
        "LD_PRELOAD": f"{library('libasan.so')}:{library('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0",  # Python leaves much behind at its end
    }
    asked = "import moorline_sidecar.hot as it; print(it.chosen.__file__)"
    said = subprocess.check_output([sys.executable, "-c", asked], env=environ(**environment))
    assert said.decode().strip() == str(built)

    differential = "tests/sidecar/http/test_shortcut_differential.py"
    assert " passed" in passes([*OWN, differential], environment)
