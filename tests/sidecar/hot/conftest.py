"""Both implementations of what every hit touches: each test of this folder may ask for either."""

import importlib
from types import ModuleType

import pytest
from moorline_sidecar.hot import plain


@pytest.fixture(scope="session")
def compiled() -> ModuleType:
    try:
        return importlib.import_module("moorline_sidecar.hot._compiled")
    except ModuleNotFoundError:
        pytest.skip("nothing was compiled when .venv was made: see what `make` said then")


@pytest.fixture(params=["plain", "compiled"], scope="session")
def implementation(request: pytest.FixtureRequest) -> ModuleType:
    if request.param == "plain":
        return plain
    found: ModuleType = request.getfixturevalue("compiled")
    return found
