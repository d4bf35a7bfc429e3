"""A running sidecar answers as `docs/openapi.yaml` says, whatever it is asked."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.sidecar.openapi_document import METHODS, document
from tests.sidecar.running import running_sidecar

HOOKS: Final = Path(__file__).with_name("openapi_hooks.py")

EXAMPLES: Final = 6
"""Drawn per operation, beside some hundred systematic ones; more find more, and take longer."""

# What a request gets that is as documented, and one that is not. The document cannot say that a
# session has ended or changed meanwhile, or that two members name the same attribute.
CONFIGURATION: Final = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "304", "404", "410", "412", "422"]

[checks.negative_data_rejection]
expected-statuses = ["400", "404", "410", "411", "412", "413", "415", "422"]
"""


def asked() -> dict[str, Any]:
    """The document with every context named once, by header or query, and with drawable ETags.

    Where both are there the header counts and the query is not looked at, so that a wrong one is
    no reason to refuse the request.
    """
    asked = copy.deepcopy(document())
    names = ("ContextHeader", "ContextQuery")
    for number, item in enumerate(asked["paths"].values()):
        for operation in (item, *(item[method] for method in METHODS & item.keys())):
            unwanted = {"$ref": f"#/components/parameters/{names[number % 2]}"}
            kept = [each for each in operation.get("parameters", []) if each != unwanted]
            operation["parameters"] = kept
    asked["components"]["schemas"]["EntityTags"]["format"] = "entity-tags"
    return asked


def test_the_sidecar_answers_as_documented(
    tmp_path: Path, mongo_uri: str, mongo_collection: str
) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(asked()))
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    options = ["--max-examples", str(EXAMPLES), "--continue-on-failure", "--no-color"]
    if os.environ.get("MOORLINE_REQUIRE_ALL") == "1":
        # A gate judges the change before it: the same requests everywhere.
        options += ["--generation-deterministic", "--seed", "1"]
    with running_sidecar(tmp_path, "node1", mongo_uri, collection=mongo_collection) as sidecar:
        run = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli"),
                *("--config-file", "schemathesis.toml"),
                *("run", "openapi.json", "--url", sidecar.url, *options),
            ],
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)},
            capture_output=True,
            check=False,
            timeout=100,
            text=True,
        )
        log = sidecar.log.read_text()

    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr + _troubles(log)
    assert _troubles(log) == ""


def _troubles(log: str) -> str:
    """What the sidecar has logged beside its start."""
    return "\n".join(line for line in log.splitlines() if '"level":"info"' not in line)
