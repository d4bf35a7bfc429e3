from typing import Any

import pytest
from moorline_operator import naming
from moorline_operator.injection import inject
from moorline_operator.settings import InjectionSettings
from msgspec import structs

from tests.operator.injection.samples import (
    ALL_EXTRAS,
    SETTINGS,
    a_cluster,
    env_of,
    mounts_of,
    sidecar_in,
)
from tests.operator.objects import a_pod

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def injected(
    pod: dict[str, Any] | None = None,
    settings: InjectionSettings = SETTINGS,
    **sidecar: Any,  # noqa: ANN401 - any spec
) -> dict[str, Any]:
    return inject(pod or a_pod(), a_cluster(sidecar=sidecar), settings)


def volumes_of(pod: dict[str, Any]) -> dict[str, Any]:
    return {volume["name"]: volume for volume in pod["spec"]["volumes"]}


def test_the_sidecar_starts_before_and_ends_after_the_application() -> None:
    sidecar = injected()["spec"]["initContainers"][0]
    assert sidecar["name"] == naming.CONTAINER
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["args"] == ["serve"]
    assert "lifecycle" not in sidecar


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["migrate"], ["moorline", "migrate"], id="before the application's"),
        pytest.param(
            ["istio-init", "istio-proxy", "migrate"],
            ["istio-init", "istio-proxy", "moorline", "migrate"],
            id="after a mesh",
        ),
        pytest.param(
            ["migrate", "linkerd-proxy"],
            ["migrate", "linkerd-proxy", "moorline"],
            id="after a mesh that came late",
        ),
    ],
)
def test_the_sidecar_is_first_but_after_a_mesh(names: list[str], expected: list[str]) -> None:
    pod = a_pod(spec={"initContainers": [{"name": name} for name in names]})
    found = injected(pod)["spec"]["initContainers"]
    assert [container["name"] for container in found] == expected


def test_probes_ask_the_health_port() -> None:
    sidecar = sidecar_in(injected(healthPort=9001))
    paths = {name: sidecar[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness")}
    for probe in paths.values():
        assert (probe["path"], probe["port"]) == ("/readyz", 9001)
    live = sidecar["livenessProbe"]["httpGet"]
    assert (live["path"], live["port"]) == ("/healthz", 9001)


def test_a_pod_monitor_finds_the_health_port_by_its_name() -> None:
    ports = {port["name"]: port["containerPort"] for port in sidecar_in(injected())["ports"]}
    assert ports[naming.HEALTH_PORT] == 7071


def test_the_image_is_the_clusters_or_else_the_operators() -> None:
    assert sidecar_in(injected())["image"] == "moorline-sidecar:1"
    assert "imagePullPolicy" not in sidecar_in(injected())
    own = sidecar_in(injected(None, structs.replace(SETTINGS, pull_policy="Never"), image="mine:2"))
    assert (own["image"], own["imagePullPolicy"]) == ("mine:2", "Never")


def test_resources_are_the_clusters() -> None:
    assert sidecar_in(injected())["resources"]["limits"] == {"memory": "256Mi"}
    given = {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}
    assert sidecar_in(injected(resources=given))["resources"] == given


def test_the_sidecar_is_restricted_with_a_numeric_user() -> None:
    context = sidecar_in(injected())["securityContext"]
    assert context["runAsUser"] == context["runAsGroup"] == 65532
    assert context["runAsNonRoot"]
    assert context["readOnlyRootFilesystem"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_the_platform_can_choose_the_user() -> None:
    settings = structs.replace(SETTINGS, run_as_user=None)
    context = sidecar_in(injected(None, settings))["securityContext"]
    assert not {"runAsUser", "runAsGroup"} & set(context)
    assert context["runAsNonRoot"]


def test_the_token_of_the_applications_account_is_out_of_reach() -> None:
    pod = injected()
    mounts = [
        mount for mount in sidecar_in(pod)["volumeMounts"] if mount["mountPath"] == SERVICE_ACCOUNT
    ]
    assert len(mounts) == 1
    assert mounts[0]["readOnly"]
    assert volumes_of(pod)[mounts[0]["name"]]["emptyDir"]["medium"] == "Memory"


def test_configuration_and_secret_are_optional_folders() -> None:
    pod = injected()
    volumes, mounts = volumes_of(pod), sidecar_in(pod)["volumeMounts"]
    where = mounts_of(sidecar_in(pod))
    config = volumes[where["/etc/moorline"]]["configMap"]
    assert config == {"name": "shop-moorline", "optional": True}
    secret = volumes[where["/etc/moorline-backend"]]["secret"]
    assert secret == {"secretName": "shop-mongodb", "optional": True}
    assert env_of(sidecar_in(pod))["MOORLINE_BACKEND_URI_FILE"] == "/etc/moorline-backend"
    assert all("subPath" not in mount for mount in mounts)


def test_a_backend_without_a_secret_has_no_volume_for_one() -> None:
    cluster = a_cluster(backend={"type": "Memory"})
    pod = inject(a_pod(), cluster, SETTINGS)
    assert "moorline-backend" not in volumes_of(pod)
    assert "MOORLINE_BACKEND_URI_FILE" not in env_of(sidecar_in(pod))


def test_the_worker_name_comes_from_the_label() -> None:
    source = env_of(sidecar_in(injected()))["MOORLINE_WORKER"]
    assert source["fieldRef"]["fieldPath"] == "metadata.labels['moorline.io/worker']"


@pytest.mark.parametrize(
    ("grace", "seconds"),
    [
        pytest.param(None, "28", id="default"),
        pytest.param(60, "58", id="longer"),
        pytest.param(2, "1", id="at least one"),
        pytest.param(0, "1", id="none"),
    ],
)
def test_the_sidecar_ends_within_the_pods_grace_period(grace: int | None, seconds: str) -> None:
    pod = a_pod(spec={"terminationGracePeriodSeconds": grace})
    assert env_of(sidecar_in(injected(pod)))["MOORLINE_SHUTDOWN_SECONDS"] == seconds


def test_the_sidecar_reads_the_token_from_a_file() -> None:
    pod = injected(**ALL_EXTRAS)
    assert env_of(sidecar_in(pod))["MOORLINE_TOKEN_FILE"] == "/run/moorline-token/token"
    assert volumes_of(pod)["moorline-token"]["secret"] == {
        "secretName": "shop-token",
        "items": [{"key": "bearer", "path": "token"}],
        "optional": True,
    }


def test_only_the_sidecar_can_write_where_the_socket_is() -> None:
    pod = injected(**ALL_EXTRAS)
    assert volumes_of(pod)["moorline-socket"]["emptyDir"]["medium"] == "Memory"
    for container in (sidecar_in(pod), pod["spec"]["containers"][0]):
        mount = next(one for one in container["volumeMounts"] if one["name"] == "moorline-socket")
        is_sidecar = container["name"] == naming.CONTAINER
        assert mount.get("readOnly", False) is not is_sidecar
        assert env_of(container)["MOORLINE_SOCKET"] == "/run/moorline/moorline.sock"


def test_what_is_changed_in_an_outage_outlives_the_container() -> None:
    pod = inject(a_pod(), a_cluster(sessions={"onOutage": "Buffer"}), SETTINGS)
    folder = env_of(sidecar_in(pod))["MOORLINE_JOURNAL"]
    mount = next(one for one in sidecar_in(pod)["volumeMounts"] if one["mountPath"] == folder)
    assert not mount.get("readOnly", False)
    assert volumes_of(pod)[mount["name"]] == {"name": mount["name"], "emptyDir": {}}
    assert mount["name"] not in mounts_of(pod["spec"]["containers"][0]).values()


def test_without_buffer_there_is_no_volume_for_it() -> None:
    pod = injected()
    assert "MOORLINE_JOURNAL" not in env_of(sidecar_in(pod))
    assert "moorline-journal" not in volumes_of(pod)
