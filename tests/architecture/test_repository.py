"""What holds for the files of the repository, whatever is in them."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from moorline_api import BackendType

from tests.architecture.source import ROOT, name_of

# Lines of one Python file. Most are far shorter; what gets here holds two concepts.
LONGEST_FILE = 400

# Assembled, so that this file names none of them itself. A lock file or a script with an
# address in it works only for who can reach that address.
REGISTRY_HOSTS = [
    ".".join(labels)
    for labels in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("deb", "debian", "org"),
        ("crates", "io"),
    ]
]
HOMES = [f"/{folder}/" for folder in ("root", "home", "Users", "work")]
FORBIDDEN = re.compile(
    "|".join(
        [rf"\b{re.escape(host)}\b" for host in REGISTRY_HOSTS]
        # Not in the middle of a path or an address: example.com/home/ is nobody's home.
        + [rf"(?<![\w.}}-]){home}\w" for home in HOMES]
    )
)
WOULD_BE_COMMITTED = ["--cached", "--others", "--exclude-standard"]


def committed() -> list[Path]:
    """The files that git has or would take."""
    # A clone that belongs to someone else is read all the same.
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", *WOULD_BE_COMMITTED],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )
    if listed.returncode != 0:
        pytest.skip(f"not a git checkout: {listed.stderr.strip()}")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_registry_or_a_home() -> None:
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in committed()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FORBIDDEN.search(line)
    ]

    assert found == []


def test_no_python_file_holds_too_much() -> None:
    lengths = {
        name_of(path): len(path.read_text().splitlines())
        for path in committed()
        if path.suffix == ".py"
    }

    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


@pytest.mark.parametrize("folder", ["operator", "tests/operator"])
def test_the_standard_librarys_operator_is_not_shadowed(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize(
    ("line", "is_forbidden"),
    [
        pytest.param("--index-url " + REGISTRY_HOSTS[0], True, id="registry"),
        pytest.param("files." + REGISTRY_HOSTS[1], True, id="registry-subdomain"),
        pytest.param(HOMES[1] + "someone/project", True, id="home"),
        pytest.param("cd " + HOMES[3] + "project", True, id="work-tree"),
        pytest.param("/var/run/moorline/moorline.sock", False, id="system-path"),
        pytest.param("example.com" + HOMES[1] + "page", False, id="address"),
    ],
)
def test_an_address_that_binds_to_a_machine_is_seen(line: str, *, is_forbidden: bool) -> None:
    assert bool(FORBIDDEN.search(line)) is is_forbidden


def test_every_store_has_an_extra_and_an_example_of_its_name() -> None:
    project = tomllib.loads((ROOT / "sidecar" / "pyproject.toml").read_text())["project"]
    members = {kind.member for kind in BackendType}

    assert members - {"memory"} <= project["optional-dependencies"].keys()
    assert members <= {path.stem for path in (ROOT / "crds" / "examples").glob("*.yaml")}
