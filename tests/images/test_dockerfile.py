import re
import tomllib

import pytest

from tests.architecture.source import ROOT

# Continued lines are one instruction.
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
INSTRUCTIONS = [
    line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if re.match("[A-Z]", line)
]
COPIED = [
    words.split()[0]
    for verb, words in INSTRUCTIONS
    if verb == "COPY" and not words.startswith("--from=")
]
PIP_INSTALLS = re.findall(
    r"pip (?:--python \S+ )?install (.+?)(?= && |$)", DOCKERFILE, re.MULTILINE
)
# Pinned names of packages, in locks and as awk picks them.
PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==", re.MULTILINE)


def locked(name: str) -> set[str]:
    return set(PINNED.findall((ROOT / "requirements" / f"{name}.lock").read_text()))


@pytest.mark.parametrize("source", COPIED)
def test_what_is_copied_exists_and_reaches_the_builder(source: str) -> None:
    kept = [
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]

    assert (ROOT / source).exists()
    assert any((ROOT / source) in ROOT.glob(pattern) for pattern in kept)


@pytest.mark.parametrize("arguments", PIP_INSTALLS)
def test_packages_come_by_hash_or_from_the_sources(arguments: str) -> None:
    options = set(arguments.split())

    assert "--require-hashes" in options or {"--no-index", "--no-deps"} <= options


def test_every_lock_gives_each_package_a_hash() -> None:
    for name in ("sidecar", "operator", "dev", "datastore"):
        text = (ROOT / "requirements" / f"{name}.lock").read_text()
        blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)

        assert [block for block in blocks if block[:1].isalnum() and "--hash=" not in block] == []


def test_the_build_backend_is_locked() -> None:
    named = re.search(r"tools='([^']+)'", DOCKERFILE)
    wanted = {
        re.split("[><=]", required)[0]
        for folder in ("crds", "operator", "sidecar")
        for required in tomllib.loads((ROOT / folder / "pyproject.toml").read_text())[
            "build-system"
        ]["requires"]
    }

    assert named
    assert wanted <= set(named[1].split("|")) <= locked("dev")


@pytest.mark.parametrize(
    ("lock", "unwanted"),
    [
        pytest.param("sidecar", {"kopf", "kubernetes"}, id="sidecar"),
        pytest.param("operator", {"pymongo", "dnspython", "uvloop"}, id="operator"),
    ],
)
def test_an_image_holds_nothing_of_the_other_one_or_of_development(
    lock: str, unwanted: set[str]
) -> None:
    development = {"hatchling", "mypy", "pip", "pytest", "ruff", "secantusdb", "setuptools", "uv"}

    assert locked(lock) & (unwanted | development) == set()


@pytest.mark.parametrize("folder", ["crds", "operator", "sidecar"])
def test_the_label_tells_the_version_of_the_distributions(folder: str) -> None:
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]

    assert f"ARG VERSION={project['version']}\n" in DOCKERFILE


@pytest.mark.parametrize("target", ["operator", "sidecar"])
def test_the_entry_point_is_a_script_of_its_distribution(target: str) -> None:
    stage = DOCKERFILE.partition(f"FROM runtime AS {target}\n")[2].partition("\nFROM ")[0]
    scripts = tomllib.loads((ROOT / target / "pyproject.toml").read_text())["project"]["scripts"]

    assert f'ENTRYPOINT ["moorline-{target}"]' in stage
    assert f"moorline-{target}" in scripts


def test_the_user_is_a_number_that_is_not_root() -> None:
    assert [words for verb, words in INSTRUCTIONS if verb == "USER"] == ["65532:65532"]


def test_only_the_stage_of_the_wheels_gets_a_compiler_and_only_wheels_leave_it() -> None:
    stages = re.split("^FROM ", DOCKERFILE, flags=re.MULTILINE)
    installing = {stage.split()[2] for stage in stages if "apt-get" in stage}
    taken = re.findall(r"from=wheels(\S*)", DOCKERFILE)

    assert installing == {"wheels"}
    assert set(taken) == {",source=/wheels,target=/wheels"}


def test_final_stages_run_nothing() -> None:
    """What runs there would leave a layer with the times of the build."""
    final = DOCKERFILE.partition(" AS runtime\n")[2]

    assert "\nRUN " not in final
