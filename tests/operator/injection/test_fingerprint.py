from typing import Any

import pytest
from moorline_operator.injection import fingerprint
from moorline_operator.settings import InjectionSettings
from msgspec import structs

from tests.operator.injection.samples import BACKEND, SETTINGS, a_cluster

MONGODB = {**BACKEND, "mongodb": {"connectionSecretRef": {"name": "other"}}}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"sidecar": {"port": 9000}}, id="data port"),
        pytest.param({"sidecar": {"socket": True}}, id="socket"),
        pytest.param({"sidecar": {"image": "mine:1"}}, id="image"),
        pytest.param({"sidecar": {"traceRatio": 0.5}}, id="read only at the start"),
        pytest.param({"backend": MONGODB}, id="secret"),
        pytest.param({"cache": {"mode": "Disabled"}}, id="cache mode"),
        pytest.param({"sessions": {"onOutage": "Buffer"}}, id="a folder for the journal"),
    ],
)
def test_what_needs_a_restart_changes_the_fingerprint(spec: dict[str, Any]) -> None:
    assert fingerprint(a_cluster(**spec), SETTINGS) != fingerprint(a_cluster(), SETTINGS)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"sessions": {"maxIdle": "5m"}}, id="sessions"),
        pytest.param({"sidecar": {"logLevel": "debug"}}, id="log level"),
        pytest.param({"purge": {"suspend": True}}, id="purge"),
        pytest.param({"cookie": {"name": "SID"}}, id="cookie"),
    ],
)
def test_what_a_running_sidecar_follows_does_not(spec: dict[str, Any]) -> None:
    assert fingerprint(a_cluster(**spec), SETTINGS) == fingerprint(a_cluster(), SETTINGS)


@pytest.mark.parametrize(
    ("settings", "is_same"),
    [
        pytest.param(structs.replace(SETTINGS, image="other"), False, id="image"),
        pytest.param(structs.replace(SETTINGS, run_as_user=None), False, id="user"),
        pytest.param(structs.replace(SETTINGS, mesh_containers=("my-mesh",)), True, id="mesh"),
    ],
)
def test_the_operators_settings_count_as_far_as_they_show_in_the_container(
    settings: InjectionSettings, *, is_same: bool
) -> None:
    found = fingerprint(a_cluster(), settings)
    assert (found == fingerprint(a_cluster(), SETTINGS)) is is_same
