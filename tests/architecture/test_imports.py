"""Who may import whom: the contracts of the root pyproject.toml, and what they cannot say."""

import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.architecture.source import API, ROOT, imported, modules, name_of, parse


def test_every_import_contract_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)

    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


@pytest.mark.parametrize("path", modules(API), ids=name_of)
def test_the_api_needs_msgspec_and_nothing_else(path: Path) -> None:
    allowed = sys.stdlib_module_names | {"msgspec", "moorline_api"}

    assert {name.partition(".")[0] for name in imported(parse(path))} <= allowed
