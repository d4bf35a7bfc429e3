"""What is built, and when it is built anew."""

import os
import re
import time
from pathlib import Path

import pytest

from e2e.cluster import images
from e2e.cluster.build import (
    CLUSTER,
    DNS,
    HELM,
    NODE_PROGRAMS,
    PROGRAMS,
    CannotBuild,
    Program,
    build,
    cached,
)
from e2e.cluster.kubelet import corefile
from tests.architecture.source import ROOT

DOCKERFILES = ("Dockerfile", "e2e/app/Dockerfile")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A small one: two packages in a module."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    module = tmp_path / "module"
    (module / "other").mkdir(parents=True)
    for name in ("go.mod", "go.sum", "main.go", "other/main.go"):
        (module / name).write_text(name)
    return Program("small", module, ".", {"main.version": "1"})


def of(program: Program, *, package: str = ".", version: str = "1") -> Program:
    return Program(program.name, program.module, package, {"main.version": version})


def edit(program: Program, name: str) -> None:
    (program.module / name).write_text("something else")


@pytest.mark.parametrize(
    ("package", "name"),
    [
        pytest.param(".", "go.mod", id="versions"),
        pytest.param(".", "go.sum", id="hashes"),
        pytest.param(".", "main.go", id="source"),
        pytest.param("./other", "other/main.go", id="source-in-a-folder"),
    ],
)
def test_a_changed_file_makes_another_program(program: Program, package: str, name: str) -> None:
    one = of(program, package=package)
    before = cached(one)

    edit(program, name)

    assert cached(one) != before


@pytest.mark.parametrize(
    ("package", "name"),
    [
        pytest.param(".", "other/main.go", id="another-package"),
        pytest.param("./other", "main.go", id="the-package-above"),
        pytest.param("example.com/tool", "main.go", id="package-of-a-required-module"),
    ],
)
def test_a_source_of_another_package_does_not(program: Program, package: str, name: str) -> None:
    one = of(program, package=package)
    before = cached(one)

    edit(program, name)

    assert cached(one) == before


def test_another_linked_value_makes_another_program(program: Program) -> None:
    assert cached(of(program, version="1")) != cached(of(program, version="2"))


def test_what_is_in_the_cache_is_not_built(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached(program).parent.mkdir(parents=True)
    cached(program).touch()
    monkeypatch.setenv("PATH", "")

    assert build(program) == cached(program)


def test_without_go_the_cure_is_named(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(CannotBuild, match=r"there is no Go on the path: install Go 1\.24"):
        build(program)


def test_each_program_has_a_place_of_its_own() -> None:
    programs = (*PROGRAMS, *NODE_PROGRAMS)

    assert len({cached(one) for one in programs}) == len(programs)


def test_dns_is_built_with_the_versions_of_kubernetes() -> None:
    assert DNS.module == CLUSTER.module != HELM.module


def test_dns_has_the_plugins_that_its_configuration_names_and_no_others() -> None:
    source = (DNS.module / DNS.package / "main.go").read_text()
    linked = set(re.findall(r"coredns/plugin/(\w+)", source))
    named = set(re.findall(r"^    (\w+)", corefile(Path("/kubeconfig")), re.MULTILINE))

    assert linked == named


def test_whatever_an_image_copies_makes_another_archive() -> None:
    watched = set(images.source_files())
    copied = [
        file
        for dockerfile in DOCKERFILES
        for source in _copied(ROOT / dockerfile)
        for file in ((ROOT / source).rglob("*") if (ROOT / source).is_dir() else [ROOT / source])
        if file.is_file() and "__pycache__" not in file.parts and ".egg-info" not in str(file)
        # As .dockerignore says.
        if file.suffix != ".so"
    ]

    assert copied
    assert [file for file in copied if file not in watched] == []


def _copied(dockerfile: Path) -> list[str]:
    instructions = dockerfile.read_text().replace("\\\n", " ")
    copies = re.findall(r"^COPY (?!--from)(.+)$", instructions, re.MULTILINE)
    return [word for words in copies for word in words.split()[:-1] if not word.startswith("--")]


def test_the_newest_archives_are_kept(tmp_path: Path) -> None:
    now = time.time()
    for age, name in enumerate(("c", "a", "b")):
        (tmp_path / f"images-{name}.tar").touch()
        os.utime(tmp_path / f"images-{name}.tar", (now - age, now - age))
    (tmp_path / "python-3.13-slim.tar").touch()

    images.forget_old(tmp_path)

    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "images-a.tar",
        "images-c.tar",
        "python-3.13-slim.tar",
    ]
