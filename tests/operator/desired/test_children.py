import json
from typing import Any

import pytest
from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.container import image_of
from moorline_operator.desired import (
    Child,
    check_fingerprint,
    check_job,
    desired_objects,
    purge_job,
)
from moorline_operator.desired.purge_cron_job import purge_cron_job
from moorline_operator.desired.quantities import canonical
from moorline_operator.kube.kinds import (
    CONFIG_MAPS,
    CRON_JOBS,
    NETWORK_POLICIES,
    POD_MONITORS,
)
from moorline_operator.settings import InjectionSettings

from tests.operator.desired.clusters import MEMORY, MONGODB, SETTINGS, UID, cluster_from

EVERYTHING: dict[str, Any] = {"monitoring": {"podMonitor": True, "networkPolicy": True}}


def the(kind: object, cluster: Cluster) -> dict[str, Any]:
    [found] = [each.obj for each in desired_objects(cluster, SETTINGS) if each.kind is kind]
    return found


def every_object(cluster: Cluster) -> list[dict[str, Any]]:
    children = [child.obj for child in desired_objects(cluster, SETTINGS)]
    return [*children, purge_job(cluster, SETTINGS, "t"), check_job(cluster, SETTINGS, 0, "f")]


def job_specs(cluster: Cluster) -> list[dict[str, Any]]:
    return [
        the(CRON_JOBS, cluster)["spec"]["jobTemplate"]["spec"],
        purge_job(cluster, SETTINGS, "t")["spec"],
        check_job(cluster, SETTINGS, 0, "f")["spec"],
    ]


def test_every_object_is_owned_by_the_session_cluster() -> None:
    for obj in every_object(cluster_from(EVERYTHING)):
        [owner] = obj["metadata"]["ownerReferences"]
        assert owner == {
            "apiVersion": "moorline.io/v1alpha1",
            "kind": "SessionCluster",
            "name": "shop",
            "uid": UID,
            "controller": True,
        }
        assert obj["metadata"]["labels"].items() >= {
            (naming.MANAGED_BY, "moorline"),
            (naming.SESSION_CLUSTER, "shop"),
        }
        assert obj["metadata"]["namespace"] == "web"


@pytest.mark.parametrize(
    ("monitoring", "kinds"),
    [
        ({}, [CONFIG_MAPS, CRON_JOBS]),
        ({"podMonitor": True}, [CONFIG_MAPS, CRON_JOBS, POD_MONITORS]),
        ({"networkPolicy": True}, [CONFIG_MAPS, CRON_JOBS, NETWORK_POLICIES]),
    ],
    ids=["neither", "pod-monitor", "network-policy"],
)
def test_what_is_optional_is_there_when_asked_for(
    monitoring: dict[str, bool], kinds: list[object]
) -> None:
    children = desired_objects(cluster_from({"monitoring": monitoring}), SETTINGS)
    assert [child.kind for child in children] == kinds


def test_the_config_map_holds_the_spec_as_it_is() -> None:
    cluster = cluster_from({"cookie": {"path": "/shop"}})
    text = the(CONFIG_MAPS, cluster)["data"]["cluster.json"]
    assert json.loads(text) == {
        "cluster": {"name": "shop", "namespace": "web"},
        "spec": {"backend": MONGODB, "cookie": {"path": "/shop"}},
    }


def test_the_order_of_a_spec_does_not_change_the_config_map() -> None:
    one = cluster_from({"suspend": False, "scavenge": {"delay": "1m", "period": "5m"}})
    other = cluster_from({"scavenge": {"period": "5m", "delay": "1m"}, "suspend": False})
    assert the(CONFIG_MAPS, one) == the(CONFIG_MAPS, other)


def test_no_pod_of_a_task_would_be_injected() -> None:
    for spec in job_specs(cluster_from()):
        assert naming.CLUSTER not in spec["template"]["metadata"]["labels"]
        assert spec["template"]["metadata"]["labels"][naming.SESSION_CLUSTER] == "shop"


def test_tasks_are_told_apart_by_a_label() -> None:
    tasks = [
        spec["template"]["metadata"]["labels"][naming.TASK] for spec in job_specs(cluster_from())
    ]
    assert tasks == ["purge", "purge", "check"]
    for job in (
        purge_job(cluster_from(), SETTINGS, "t"),
        check_job(cluster_from(), SETTINGS, 0, ""),
    ):
        assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"]


@pytest.mark.parametrize("number", [0, 1], ids=["cron-job", "purge-now"])
def test_a_purge_ends_itself_half_a_minute_before_its_deadline(number: int) -> None:
    spec = job_specs(cluster_from())[number]
    [container] = spec["template"]["spec"]["containers"]
    limit = container["args"][container["args"].index("--time-limit") + 1]
    assert spec["activeDeadlineSeconds"] - int(limit) == 30


def test_a_task_runs_the_sidecar_image() -> None:
    mine = cluster_from({"sidecar": {"image": "mine:1"}})
    assert image_of(mine, SETTINGS) == "mine:1"
    assert image_of(cluster_from(), SETTINGS) == SETTINGS.image
    assert {_container(spec)["image"] for spec in job_specs(mine)} == {"mine:1"}


def test_the_secret_is_mounted_where_there_is_one() -> None:
    for spec in job_specs(cluster_from()):
        assert spec["template"]["spec"]["volumes"][1] == {
            "name": "moorline-backend",
            "secret": {"secretName": "shop-mongodb", "optional": True},
        }
    for spec in job_specs(cluster_from({"backend": MEMORY})):
        assert [volume["name"] for volume in spec["template"]["spec"]["volumes"]] == [
            "moorline-config"
        ]
        assert _container(spec)["env"] == [{"name": "MOORLINE_CLUSTER", "value": "shop"}]


@pytest.mark.parametrize("kind", ["File", "SQLite"])
def test_a_purge_is_not_started_where_it_reaches_nothing(kind: str) -> None:
    cluster = cluster_from({"backend": {"type": kind, kind.lower(): {}}})
    assert purge_cron_job(cluster, SETTINGS).obj["spec"]["suspend"] is True
    assert purge_cron_job(cluster_from(), SETTINGS).obj["spec"]["suspend"] is False


def test_the_user_is_left_to_the_platform_where_the_settings_say_so() -> None:
    settings = InjectionSettings(image="i", run_as_user=None)
    job = check_job(cluster_from(), settings, 0, "f")
    context = job["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    assert "runAsUser" not in context
    assert context["runAsNonRoot"] is True


def test_nothing_that_is_empty_is_applied() -> None:
    spec = {**EVERYTHING, "purge": {"resources": {"requests": {}, "limits": {}}}}
    for obj in every_object(cluster_from(spec)):
        assert list(_empty(obj, "")) == []


def test_the_network_policy_selects_no_pod_of_the_application() -> None:
    policy = the(NETWORK_POLICIES, cluster_from(EVERYTHING))
    assert policy["spec"]["podSelector"] == {
        "matchLabels": {naming.SESSION_CLUSTER: "shop"},
        "matchExpressions": [{"key": naming.TASK, "operator": "Exists"}],
    }


def test_a_token_always_gives_the_same_job() -> None:
    names = [purge_job(cluster_from(), SETTINGS, token)["metadata"]["name"] for token in "aab"]
    assert names[0] == names[1] != names[2]


def test_every_attempt_of_a_check_is_a_job_of_its_own() -> None:
    jobs = [check_job(cluster_from(), SETTINGS, attempt, "f") for attempt in range(3)]
    assert len({job["metadata"]["name"] for job in jobs}) == 3
    assert jobs[2]["metadata"]["annotations"] == {naming.CHECKED: "f", naming.ATTEMPT: "2"}


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (cluster_from({"purge": {"schedule": "@hourly"}}), True),
        (cluster_from({"backend": {"type": "MongoDB", "mongodb": {"database": "d"}}}), False),
        (cluster_from({"sidecar": {"image": "mine:1"}}), False),
        (cluster_from(annotations={naming.CHECK_NOW: "1"}), False),
        (cluster_from(annotations={naming.PURGE_NOW: "1"}), True),
    ],
    ids=["purge", "backend", "image", "check-now", "purge-now"],
)
def test_a_check_is_due_when_what_it_checks_changes(other: Cluster, *, is_same: bool) -> None:
    before = check_fingerprint(cluster_from(), SETTINGS)
    assert (check_fingerprint(other, SETTINGS) == before) is is_same


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        (0, "0"),
        (1, "1"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.1Ki", "102400m"),
        ("1000000", "1M"),
        ("1e3", "1e3"),
        ("10E-1", "1"),
        ("1E", "1E"),
        (".5", "500m"),
        ("5.", "5"),
        ("0.1n", "1n"),
        ("100E", "9223372036854775807"),
        ("1e99999999999999999999", "9223372036854775807"),
    ],
)
def test_a_quantity_has_one_way_of_writing_it(quantity: int | str, expected: str) -> None:
    assert canonical(quantity) == expected
    assert canonical(expected) == expected


def _container(spec: dict[str, Any]) -> dict[str, Any]:
    [container] = spec["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found


def _empty(value: object, path: str) -> list[str]:
    found = [path] if value is None or value in ("", [], {}) else []
    if isinstance(value, dict):
        for name, each in value.items():
            found += _empty(each, f"{path}.{name}")
    if isinstance(value, list):
        for number, each in enumerate(value):
            found += _empty(each, f"{path}[{number}]")
    return found


def test_a_child_names_its_kind() -> None:
    children: list[Child] = desired_objects(cluster_from(EVERYTHING), SETTINGS)
    for child in children:
        assert child.obj["apiVersion"] == child.kind.api_version
        assert child.obj["kind"] == child.kind.name
