"""The commands of README.md and of the documentation print what these pages say, in order."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from tests.architecture.source import ROOT
from tests.sidecar.running import Sidecar, running_sidecar

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROMPT = "$ "
# Fails where the option is unknown, and asks nobody for anything.
CURL_WITH_JSON = ["curl", "--silent", "--json", "{}", "--version"]
ANYTHING = "…"
# Printed after each command: ASCII's record separator, which no answer holds.
SEPARATOR = "\x1e"


class Step(Struct, frozen=True):
    """A command, and what a page says that it prints."""

    command: str
    printed: str


def steps_of(page: str) -> list[Step]:
    """The commands of all `console` blocks, in order."""
    steps: list[Step] = []
    for block in BLOCK.findall(page):
        for part in re.split(rf"^{re.escape(PROMPT)}", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            steps.append(Step(command, printed.strip("\n")))
    return steps


def printed_by(commands: list[str], folder: Path) -> list[str]:
    """What each command prints, all of them run by one bash; errors are printed, too."""
    script = "".join(f"{command}\nprintf '{SEPARATOR}'\n" for command in commands)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        # A proxy has nothing to do with loopback.
        env={**os.environ, "NO_PROXY": "*", "no_proxy": "*"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    *outputs, rest = done.stdout.split(SEPARATOR)
    assert (rest, len(outputs)) == ("", len(commands)), done.stdout
    return [output.replace("\r", "").strip("\n") for output in outputs]


def is_as_printed(output: str, printed: str) -> bool:
    """Whether they are the same, but for what the page leaves open; never beyond a quote."""
    return re.fullmatch(re.escape(printed).replace(ANYTHING, r'[^"\n]*'), output) is not None


def at(sidecar: Sidecar, command: str) -> str:
    """The command with the ports of this sidecar in place of the usual ones."""
    ports = {"7070": sidecar.port, "7071": sidecar.health_port, "7072": sidecar.ops_port}
    return re.sub(r"localhost:(707[012])", lambda found: f"127.0.0.1:{ports[found[1]]}", command)


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    if shutil.which("curl") is None or subprocess.run(CURL_WITH_JSON, check=False).returncode:
        pytest.skip("curl 7.82 or newer is not installed")
    with running_sidecar(tmp_path, "vm7x2a", None) as sidecar:
        yield sidecar


@pytest.mark.parametrize("name", ["README.md", "docs/http-api.md", "docs/operations.md"])
def test_the_commands_of_a_page_print_what_it_says(
    name: str, sidecar: Sidecar, tmp_path: Path
) -> None:
    steps = steps_of((ROOT / name).read_text())
    commands = [at(sidecar, step.command) for step in steps]

    outputs = printed_by(commands, tmp_path)

    differences = [
        f"$ {step.command}\nthe page: {step.printed}\nprinted:  {output}"
        for step, output in zip(steps, outputs, strict=True)
        if not is_as_printed(output, step.printed)
    ]
    assert steps
    assert "\n\n".join(differences) == ""


def test_commands_are_found_with_what_they_print() -> None:
    page = (
        "```console\n$ one\n1\n\n2\n\n$ two\n```\n```sh\n$ no\n```\n```console\n$ three\n3\n```\n"
    )

    assert steps_of(page) == [Step("one", "1\n\n2"), Step("two", ""), Step("three", "3")]


@pytest.mark.parametrize(
    ("output", "printed", "is_same"),
    [
        pytest.param('{"a":1}', '{"a":1}', True, id="exactly"),
        pytest.param('{"a":"x"}', '{"a":"…"}', True, id="left-open"),
        pytest.param('{"a":""}', '{"a":"…"}', True, id="nothing"),
        pytest.param('{"a":"x","b":"y"}', '{"a":"…"}', False, id="beyond-a-quote"),
        pytest.param("[1]", "[12]", False, id="other"),
        pytest.param("a.c", "abc", False, id="not-a-pattern"),
    ],
)
def test_what_a_page_leaves_open_is_all_that_may_differ(
    output: str, printed: str, *, is_same: bool
) -> None:
    assert is_as_printed(output, printed) is is_same
