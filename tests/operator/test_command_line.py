import os
import subprocess
import sys
from pathlib import Path

import pytest

IDENTITY = {"POD_NAME": "one", "POD_NAMESPACE": "moorline-system"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    return subprocess.run(
        [sys.executable, "-m", "moorline_operator", *arguments],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def settings(tmp_path: Path) -> str:
    file = tmp_path / "operator.yaml"
    file.write_text("injection: {image: example/sidecar}", encoding="utf-8")
    return str(file)


def test_a_missing_settings_file_is_named() -> None:
    ended = run("run", "--settings", "/none.yaml", **IDENTITY)
    assert (ended.returncode, ended.stderr) == (
        2,
        "moorline-operator: /none.yaml: No such file or directory\n",
    )


def test_who_it_is_has_to_be_told(settings: str) -> None:
    ended = run("run", "--settings", settings)
    assert ended.returncode == 2
    assert "POD_NAMESPACE: set it, as the chart does" in ended.stderr
    assert "POD_NAME: set it, as the chart does" in ended.stderr


@pytest.mark.parametrize(
    "arguments", [["run"], ["probe", "--namespace", "web"]], ids=lambda given: given[0]
)
def test_without_a_way_to_an_api_server_it_says_so(
    arguments: list[str], settings: str, tmp_path: Path
) -> None:
    options = ["--settings", settings] if arguments == ["run"] else []
    missing = {"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)}
    ended = run(*arguments, *options, **IDENTITY, **missing)
    assert ended.returncode == 2
    assert "no way to the API server" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_names_the_commands() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    assert "run" in ended.stdout
    assert "probe" in ended.stdout
