"""What is installed of the sidecar, with a compiler and without one."""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, SIDECAR
from tests.sidecar.commands import environ
from tests.sidecar.hot.compiling import COMPILER, INCLUDED, needs_compiler

ASKED = "from moorline_sidecar.hot import IS_COMPILED, instant; print(IS_COMPILED, instant(0))"
LEFT_BY_BUILDS = shutil.ignore_patterns("*.so", "*.egg-info", "__pycache__", "build", "dist")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The distribution as it is committed, for builds leave things in it."""
    return Path(shutil.copytree(ROOT / "sidecar", tmp_path / "sidecar", ignore=LEFT_BY_BUILDS))


def wheel(folder: Path, **environment: str) -> tuple[Path, str]:
    """What `pip wheel` makes of a folder or of an archive, and what it says meanwhile."""
    made = folder.parent / "wheels"
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-v", *options, f"--wheel-dir={made}", folder],
        env=environ(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout
    (found,) = made.iterdir()
    return found, built.stdout


def answer_of(wheel: Path) -> str:
    """What a process says that finds this wheel before all else."""
    site = wheel.parent.parent / "site"
    shutil.unpack_archive(wheel, site, "zip")
    return subprocess.check_output(
        [sys.executable, "-c", ASKED], env=environ(PYTHONPATH=str(site)), text=True
    )


@needs_compiler
def test_a_wheel_holds_what_is_compiled_and_no_source_of_it(folder: Path) -> None:
    built, _ = wheel(folder)

    names = [Path(name).name for name in zipfile.ZipFile(built).namelist()]
    assert f"_compiled{sysconfig.get_config_var('EXT_SUFFIX')}" in names
    assert "py.typed" in names
    assert "_compiled.c" not in names
    assert answer_of(built) == "True b'1970-01-01T00:00:00.000Z'\n"


def test_without_a_compiler_a_wheel_is_built_that_does_the_same(folder: Path) -> None:
    built, said = wheel(folder, CC="/bin/false")

    assert 'building extension "moorline_sidecar.hot._compiled" failed' in said
    assert answer_of(built) == "False b'1970-01-01T00:00:00.000Z'\n"


@needs_compiler
def test_the_source_distribution_holds_all_that_a_wheel_is_built_of(folder: Path) -> None:
    build = "from setuptools import build_meta; print(build_meta.build_sdist('../source'))"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    (archive,) = (folder.parent / "source").iterdir()
    with tarfile.open(archive) as opened:
        packed = {name.partition("/")[2] for name in opened.getnames()}
    kept = {
        str(path.relative_to(SIDECAR.parent))
        for path in SIDECAR.rglob("*")
        if path.suffix in {".py", ".pyi", ".c", ".h", ".typed"}
    }

    built, _ = wheel(archive)

    assert kept - packed == set()
    assert answer_of(built).startswith("True ")


@needs_compiler
def test_the_compiler_has_nothing_to_say() -> None:
    strict = ("-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-fsyntax-only")
    sources = sorted(SIDECAR.rglob("*.c"))
    compiled = subprocess.run(
        [str(COMPILER), *strict, f"-I{INCLUDED}", *sources],
        capture_output=True,
        text=True,
        check=False,
    )

    assert compiled.returncode == 0, compiled.stderr
