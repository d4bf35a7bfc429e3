"""Who may import whom: the contracts of the root pyproject.toml, and what they cannot say."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import API, ROOT, imported, modules, name_of, parse

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def test_every_import_contract_is_kept() -> None:
    # A process of its own: the linter configures logging, and disables every logger that it does
    # not name.
    linted = subprocess.run(
        [LINT_IMPORTS, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("path", modules(API), ids=name_of)
def test_the_api_needs_msgspec_and_nothing_else(path: Path) -> None:
    allowed = sys.stdlib_module_names | {"msgspec", "moorline_api"}

    assert {name.partition(".")[0] for name in imported(parse(path))} <= allowed
