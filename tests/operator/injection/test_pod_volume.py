"""Sessions in files, on a volume that the pod brings."""

from typing import Any

import pytest
from moorline_operator.injection import Refused, fingerprint, inject
from moorline_operator.injection.volumes import FOLDERS

from tests.operator.injection.samples import SETTINGS, a_cluster, env_of, mounts_of, sidecar_in
from tests.operator.objects import a_pod

DATA = {"name": "moorline-data", "persistentVolumeClaim": {"claimName": "shop-sessions"}}
FILE = {"type": "File", "file": {}}
SQLITE = {"type": "SQLite", "sqlite": {}}


def with_volume() -> dict[str, Any]:
    return a_pod(spec={"volumes": [DATA]})


@pytest.mark.parametrize(
    ("backend", "folder"),
    [
        pytest.param(FILE, "/var/lib/moorline/sessions", id="files"),
        pytest.param(
            {"type": "File", "file": {"directory": "/data/shop"}},
            "/data/shop",
            id="files elsewhere",
        ),
        pytest.param(SQLITE, "/var/lib/moorline", id="sqlite"),
        pytest.param(
            {"type": "SQLite", "sqlite": {"path": "/data/shop.db"}}, "/data", id="sqlite elsewhere"
        ),
    ],
)
def test_the_sidecar_has_the_volume_of_the_pod_where_it_keeps_sessions(
    backend: dict[str, Any], folder: str
) -> None:
    pod = inject(with_volume(), a_cluster(backend=backend), SETTINGS)

    mount = next(one for one in sidecar_in(pod)["volumeMounts"] if one["name"] == "moorline-data")
    assert mount == {"name": "moorline-data", "mountPath": folder}
    assert pod["spec"]["volumes"].count(DATA) == 1
    assert "moorline-data" not in mounts_of(pod["spec"]["containers"][0]).values()


@pytest.mark.parametrize("backend", [FILE, SQLITE], ids=["files", "sqlite"])
def test_a_pod_without_the_volume_is_told_to_bring_it(backend: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="none named moorline-data: add one to the pod template"):
        inject(a_pod(), a_cluster(backend=backend), SETTINGS)


@pytest.mark.parametrize("folder", ["/", *sorted(set(FOLDERS.values()) - {"/var/lib/moorline"})])
def test_sessions_are_nowhere_where_the_sidecar_has_something_else(folder: str) -> None:
    cluster = a_cluster(backend={"type": "File", "file": {"directory": folder}})
    with pytest.raises(Refused, match=r"spec\.backend\.file .* give them a folder of their own"):
        inject(with_volume(), cluster, SETTINGS)


@pytest.mark.parametrize("backend", [FILE, SQLITE], ids=["files", "sqlite"])
def test_a_journal_stays_off_the_volume_that_others_may_share(backend: dict[str, Any]) -> None:
    cluster = a_cluster(backend=backend, sessions={"onOutage": "Buffer"})

    sidecar = sidecar_in(inject(with_volume(), cluster, SETTINGS))

    folder = env_of(sidecar)["MOORLINE_JOURNAL"]
    assert mounts_of(sidecar)[folder] == "moorline-journal"
    paths = [mount["mountPath"] for mount in sidecar["volumeMounts"]]
    assert len(set(paths)) == len(paths)


def test_injecting_twice_is_injecting_once() -> None:
    cluster = a_cluster(backend=FILE)
    once = inject(with_volume(), cluster, SETTINGS)
    assert inject(once, cluster, SETTINGS) == once


def test_another_server_needs_no_volume_of_the_pod() -> None:
    pod = inject(a_pod(), a_cluster(), SETTINGS)
    assert "moorline-data" not in mounts_of(sidecar_in(pod)).values()


def test_a_pod_with_sessions_elsewhere_is_outdated() -> None:
    elsewhere = a_cluster(backend={"type": "File", "file": {"directory": "/data"}})
    assert fingerprint(a_cluster(backend=FILE), SETTINGS) != fingerprint(elsewhere, SETTINGS)
