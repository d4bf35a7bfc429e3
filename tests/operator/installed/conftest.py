"""The operator as the chart installs it, for the tests of one file."""

from collections.abc import Iterator

import pytest

from tests.operator.control_plane import ControlPlane
from tests.operator.installation import Installation, installed


@pytest.fixture(scope="module")
def installation(
    control_plane: ControlPlane,
    crds: None,  # noqa: ARG001 - a fixture without a value
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("operator")
    with installed(control_plane, folder) as release, release.running():
        yield release


@pytest.fixture
def operator(installation: Installation) -> Installation:
    """Both replicas run and are ready, whatever the test before has done to them."""
    installation.restore()
    return installation
