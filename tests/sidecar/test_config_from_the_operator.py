import json
from pathlib import Path

import pytest
from moorline_api import BackendType
from moorline_sidecar.config import Options, read_configuration
from moorline_sidecar.errors import ConfigurationError

ENVIRON = {"MOORLINE_WORKER": "node3", "MOORLINE_BACKEND_URI": "mongodb://db/"}


def test_a_pod_of_the_operator_lives_with_fields_that_only_a_newer_sidecar_knows(
    tmp_path: Path,
) -> None:
    spec = {"backend": {"type": "MongoDB", "mongodb": {}}, "sessions": {"colour": "red"}}
    file = tmp_path / "cluster.json"
    file.write_text(json.dumps({"spec": spec}), encoding="utf-8")
    options = Options(config=str(file))
    with pytest.raises(ConfigurationError, match=r"spec\.sessions\.colour"):
        read_configuration(options, ENVIRON, "host")
    configuration = read_configuration(options, {**ENVIRON, "MOORLINE_CLUSTER": "shop"}, "host")
    assert configuration.backend.type is BackendType.MONGODB
