from typing import Any

from moorline_operator import naming
from moorline_operator.injection import fingerprint, inject
from msgspec import structs

from tests.operator.injection.samples import (
    ALL_EXTRAS,
    SETTINGS,
    a_cluster,
    env_of,
    mounts_of,
)
from tests.operator.objects import a_pod

CLUSTER = a_cluster()


def containers_of(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    spec = pod["spec"]
    return {
        container["name"]: container for container in [*spec["initContainers"], *spec["containers"]]
    }


def test_the_pod_that_was_given_stays_as_it_is() -> None:
    pod, same = a_pod(), a_pod()
    inject(pod, CLUSTER, SETTINGS)
    assert pod == same


def test_the_pod_says_what_was_injected_and_waits_for_its_name() -> None:
    pod = inject(a_pod(annotations={"a": "b"}), CLUSTER, SETTINGS)
    annotations = pod["metadata"]["annotations"]
    assert annotations == {"a": "b", naming.INJECTED: fingerprint(CLUSTER, SETTINGS)}
    assert pod["spec"]["schedulingGates"] == [{"name": naming.GATE}]


def test_gates_of_others_stay() -> None:
    pod = a_pod(spec={"schedulingGates": [{"name": "other.io/gate"}]})
    gates = inject(pod, CLUSTER, SETTINGS)["spec"]["schedulingGates"]
    assert gates == [{"name": "other.io/gate"}, {"name": naming.GATE}]


def test_every_container_of_the_application_is_told_where_the_sidecar_is() -> None:
    spec = {
        "containers": [{"name": "app"}, {"name": "worker"}, {"name": "istio-proxy"}],
        "initContainers": [{"name": "istio-init"}, {"name": "migrate"}],
    }
    cluster = a_cluster(sidecar={"port": 9000})
    found = containers_of(inject(a_pod(spec=spec), cluster, SETTINGS))
    for name in ("app", "worker", "migrate"):
        assert env_of(found[name]) == {"MOORLINE_URL": "http://127.0.0.1:9000"}
    for name in ("istio-init", "istio-proxy"):
        assert found[name] == {"name": name}


def test_the_url_comes_first_so_that_other_variables_can_use_it() -> None:
    env = [{"name": "SESSIONS", "value": "$(MOORLINE_URL)/v1"}]
    pod = a_pod(spec={"containers": [{"name": "app", "env": env}]})
    found = containers_of(inject(pod, CLUSTER, SETTINGS))["app"]["env"]
    assert [variable["name"] for variable in found] == ["MOORLINE_URL", "SESSIONS"]


def test_a_variable_of_the_applications_own_wins() -> None:
    env = [{"name": "MOORLINE_URL", "value": "http://elsewhere"}]
    pod = a_pod(spec={"containers": [{"name": "app", "env": env}]})
    once = inject(pod, CLUSTER, SETTINGS)
    for found in (once, inject(once, CLUSTER, SETTINGS)):
        assert containers_of(found)["app"]["env"] == env


def test_socket_and_token_are_offered_where_they_are_asked_for() -> None:
    pod = inject(a_pod(), a_cluster(sidecar=ALL_EXTRAS), SETTINGS)
    app = containers_of(pod)["app"]
    assert env_of(app) == {
        "MOORLINE_URL": "http://127.0.0.1:7070",
        "MOORLINE_SOCKET": "/run/moorline/moorline.sock",
        "MOORLINE_TOKEN_FILE": "/run/moorline-token/token",
    }
    assert mounts_of(app) == {
        "/run/moorline": "moorline-socket",
        "/run/moorline-token": "moorline-token",
    }


def test_an_outdated_injection_is_replaced_whole() -> None:
    old = a_cluster(sidecar={**ALL_EXTRAS, "port": 9000})
    other = structs.replace(SETTINGS, image="moorline-sidecar:2")
    pod = inject(inject(a_pod(), old, SETTINGS), CLUSTER, other)
    assert pod == inject(a_pod(), CLUSTER, other)


def test_a_pod_with_another_sidecar_of_the_same_cluster_keeps_what_came_in_between() -> None:
    once = inject(a_pod(), CLUSTER, SETTINGS)
    spec = once["spec"]
    mesh = {"name": "istio-proxy", "restartPolicy": "Always"}
    late = {"name": "late"}
    between = {
        **once,
        "spec": {
            **spec,
            "initContainers": [mesh, *spec["initContainers"]],
            "containers": [*spec["containers"], late],
            "volumes": [*spec["volumes"], {"name": "mesh", "emptyDir": {}}],
        },
    }
    twice = inject(between, CLUSTER, SETTINGS)
    names = [container["name"] for container in twice["spec"]["initContainers"]]
    assert names == ["istio-proxy", naming.CONTAINER]
    assert "MOORLINE_URL" in env_of(containers_of(twice)["late"])
    assert [volume["name"] for volume in twice["spec"]["volumes"]].count("mesh") == 1
