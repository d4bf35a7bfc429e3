import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml
from moorline_operator.settings import (
    ElectionSettings,
    InjectionSettings,
    Settings,
    WebhookSettings,
    read_settings,
)

from tests.charts.releases import CHART, ROOT, KubeObject, Release, named
from tests.operator.control_plane import ControlPlane

MATRIX: Final[dict[str, dict[str, Any]]] = {
    "defaults": {"crds": {"enabled": True}},
    "watched": {"watchNamespaces": ["kube-public", "default"]},
    "one-replica": {"replicas": 1, "priorityClass": {"create": False}},
    "own-priority-class": {"priorityClass": {"create": False, "name": "system-cluster-critical"}},
    "another-registry": {
        "image": {"repository": "registry.example.com/op", "digest": "sha256:" + "0" * 64},
        "sidecar": {
            "image": {"repository": "registry.example.com:5000/sc", "tag": "7"},
            "allowedImages": ["registry.example.com/", "example.com/me/sidecar:"],
        },
        "imagePullSecrets": ["pull"],
    },
    "placed": {
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists", "effect": "NoSchedule"}],
        "podLabels": {"team": "web"},
        "podAnnotations": {"example.com/a": "1"},
        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
    },
    "openshift": {"sidecar": {"runAsUser": None, "meshContainers": []}},
    "nothing-optional": {"networkPolicy": {"enabled": False}},
    "all-optional": {
        "dashboard": {"enabled": True, "labels": {"a": "b"}},
        "serviceMonitor": {"enabled": True, "labels": {"a": "b"}},
        "certificates": {"certManager": True},
        "webhook": {"port": 10250},
        "logLevel": "debug",
    },
}
CRD: Final = "moorline.io_sessionclusters"
CREATE_PODS: Final = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}]
FOREIGN_KINDS: Final = {"Issuer", "Certificate", "ServiceMonitor"}
"""Their definitions come with other software; the API server of the tests has none of them."""


def written(values: dict[str, Any], folder: Path) -> str:
    path = folder / "values.yaml"
    # Large, and the same in every case but one.
    path.write_text(yaml.safe_dump({"crds": {"enabled": False}, **values}))
    return f"--values={path}"


def settings_of(objects: list[KubeObject], folder: Path) -> Settings:
    (text,) = (
        each["data"]["operator.yaml"]
        for each in objects
        if each["kind"] == "ConfigMap" and "operator.yaml" in each["data"]
    )
    path = folder / "operator.yaml"
    path.write_text(text)
    return read_settings(path)


@pytest.fixture
def release(control_plane: ControlPlane) -> Release:
    return Release(control_plane, "demo", "web")


def test_helm_finds_nothing_to_complain_of(control_plane: ControlPlane) -> None:
    said = control_plane.helm("lint", "--strict", str(CHART))
    assert "0 chart(s) failed" in said
    assert "WARNING" not in said


@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX)
def test_the_api_server_takes_what_is_rendered(
    control_plane: ControlPlane, namespace: str, values: dict[str, Any], tmp_path: Path
) -> None:
    release = Release(control_plane, "demo", namespace)
    objects = release.objects(written(values, tmp_path))
    # A dry run makes nothing, and a pod needs its account.
    release.kubectl("create", "serviceaccount", f"{release.prefix}-test")
    # Pods outside of the restricted profile are refused, and templates of such are warned of.
    profile = (f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn"))
    control_plane.kubectl("label", "namespace", namespace, *profile)
    known = [each for each in objects if each["kind"] not in FOREIGN_KINDS]
    control_plane.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server"),
        *("--warnings-as-errors", "--filename=-"),
        stdin=yaml.safe_dump_all(known),
    )


@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX)
def test_the_operator_can_read_its_settings(
    release: Release, values: dict[str, Any], tmp_path: Path
) -> None:
    objects = release.objects(written(values, tmp_path))
    settings = settings_of(objects, tmp_path)
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    assert names >= {
        ("MutatingWebhookConfiguration", settings.webhook.configuration),
        ("Service", settings.webhook.service),
        ("Secret", settings.webhook.secret),
    }
    assert settings.watch_namespaces == tuple(values.get("watchNamespaces", ()))
    is_foreign = values.get("certificates", {}).get("certManager", False)
    assert settings.certificates.managed is not is_foreign


def test_defaults_of_the_chart_are_those_of_the_operator(release: Release, tmp_path: Path) -> None:
    settings = settings_of(release.objects(), tmp_path)
    usual = Settings(injection=InjectionSettings(image="moorline/sidecar:0.1.0"))
    names = WebhookSettings(
        configuration=release.cluster_name,
        service=release.prefix,
        secret=f"{release.prefix}-webhook",
    )
    election = ElectionSettings(lease=f"{release.prefix}-leader")
    assert settings == msgspec.structs.replace(usual, webhook=names, election=election)


def test_the_user_of_the_sidecar_can_be_left_to_the_platform(
    release: Release, tmp_path: Path
) -> None:
    objects = release.objects("--set=sidecar.runAsUser=null")
    assert settings_of(objects, tmp_path).injection.run_as_user is None


def test_a_change_of_settings_rolls_the_operator(release: Release) -> None:
    def checksum(*flags: str) -> str:
        template = named(release.objects(*flags), "Deployment")["spec"]["template"]
        found: str = template["metadata"]["annotations"]["checksum/settings"]
        return found

    assert checksum() == checksum("--set=networkPolicy.enabled=false")
    assert checksum() != checksum("--set=logLevel=debug")


def test_names_of_cluster_scoped_objects_hold_release_and_namespace(release: Release) -> None:
    names = [
        each["metadata"]["name"]
        for each in release.objects()
        if "namespace" not in each["metadata"] and each["kind"] != "CustomResourceDefinition"
    ]
    assert names
    assert not [name for name in names if not f"{name}.".startswith(f"{release.cluster_name}.")]


def test_the_bundle_is_never_rendered(release: Release) -> None:
    for flags in ((), ("--set=certificates.certManager=true",)):
        configuration = named(release.objects(*flags), "MutatingWebhookConfiguration")
        assert "caBundle" not in json.dumps(configuration)


def test_the_definition_stays_and_is_the_generated_one(release: Release) -> None:
    generated = yaml.safe_load((ROOT / "crds" / f"{CRD}.yaml").read_text(encoding="utf-8"))
    rendered = named(release.objects(), "CustomResourceDefinition")
    assert rendered["spec"] == generated["spec"]
    assert rendered["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


@pytest.mark.parametrize(
    ("namespace_of_release", "flags", "probed"),
    [
        ("web", (), "web"),
        ("kube-system", (), "default"),
        ("web", ("--set=watchNamespaces={shop,blog}",), "shop"),
    ],
    ids=["its-own", "one-that-the-webhook-leaves-out", "one-that-it-watches"],
)
def test_helm_test_asks_where_the_webhook_is_asked(
    control_plane: ControlPlane, namespace_of_release: str, flags: tuple[str, ...], probed: str
) -> None:
    objects = Release(control_plane, "demo", namespace_of_release).objects(*flags)
    (container,) = named(objects, "Pod")["spec"]["containers"]
    assert container["args"] == ["probe", "--namespace", probed]
    (role,) = (each for each in objects if each.get("rules") == CREATE_PODS)
    assert role["metadata"]["namespace"] == probed
