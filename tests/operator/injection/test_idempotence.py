"""Injecting twice is injecting once, and the patch says the same, whatever the pod is like."""

import json
from base64 import b64decode
from typing import Any

import jsonpatch
from hypothesis import given
from hypothesis import strategies as st
from moorline_operator import naming
from moorline_operator.cluster import Cluster
from moorline_operator.injection import Refused, inject
from moorline_operator.webhook.review import Question, allowed

from tests.operator.injection.samples import ALL_EXTRAS, SETTINGS, a_cluster
from tests.operator.objects import a_pod

CLUSTERS = st.builds(
    lambda port, extras: a_cluster(sidecar={"port": port, **extras}),
    st.sampled_from([7070, 7080]),
    st.sampled_from([{}, {"socket": True}, ALL_EXTRAS]),
)
NAMES = st.sampled_from(
    ["MOORLINE_URL", "MOORLINE_SOCKET", "MOORLINE_TOKEN_FILE", "PATH", "MOORLINE_WORKER"]
)
VALUES = st.sampled_from(
    [
        "http://127.0.0.1:7070",
        "http://127.0.0.1:7080",
        "http://127.0.0.1:9999",
        "/run/moorline/moorline.sock",
        "/run/moorline-token/token",
        "",
    ]
)
VARIABLES = st.builds(lambda name, value: {"name": name, "value": value}, NAMES, VALUES)
MOUNTS = st.builds(
    lambda name, path: {"name": name, "mountPath": path},
    st.sampled_from(["data", "moorline-socket", "moorline-token"]),
    st.sampled_from(["/data", "/run/moorline", "/run/moorline-token", "/run"]),
)
CONTAINERS = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b", "istio-init", "istio-proxy", "linkerd-proxy", "moorline"])},
    optional={
        "env": st.none() | st.lists(VARIABLES, max_size=4, unique_by=lambda one: one["name"]),
        "volumeMounts": st.none() | st.lists(MOUNTS, max_size=2),
        "ports": st.lists(
            st.builds(lambda port: {"containerPort": port}, st.sampled_from([80, 7070])),
            max_size=1,
        ),
        "restartPolicy": st.just("Always"),
    },
)
SPECS = st.fixed_dictionaries(
    {"containers": st.lists(CONTAINERS, max_size=3)},
    optional={
        "initContainers": st.none() | st.lists(CONTAINERS, max_size=4),
        "volumes": st.none()
        | st.lists(
            st.builds(
                lambda name: {"name": name, "emptyDir": {}}, st.sampled_from(["data", "logs"])
            ),
            max_size=2,
        ),
        "terminationGracePeriodSeconds": st.none() | st.integers(0, 120),
        "schedulingGates": st.lists(
            st.builds(lambda name: {"name": name}, st.sampled_from(["other/gate", naming.GATE])),
            max_size=2,
            unique_by=lambda one: one["name"],
        ),
    },
)


def pods() -> st.SearchStrategy[dict[str, Any]]:
    annotations = st.sampled_from([{}, {"annotations": {naming.INJECTED: "0"}}])
    return st.builds(lambda spec, more: a_pod(spec=spec, **more), SPECS, annotations)


def patched(pod: dict[str, Any], changed: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """The pod as the API server makes it from the webhook's answer."""
    response = json.loads(allowed(Question("u", "web", pod), changed))["response"]
    patch = json.loads(b64decode(response["patch"])) if "patch" in response else []
    return jsonpatch.apply_patch(pod, patch)


@given(pods(), CLUSTERS)
def test_injecting_twice_is_injecting_once(pod: dict[str, Any], cluster: Cluster) -> None:
    try:
        once = inject(pod, cluster, SETTINGS)
    except Refused:
        return
    assert inject(once, cluster, SETTINGS) == once
    names = [container["name"] for container in once["spec"]["initContainers"]]
    assert names.count(naming.CONTAINER) == 1


@given(pods(), CLUSTERS, CLUSTERS)
def test_the_patch_makes_the_injected_pod(
    pod: dict[str, Any], cluster: Cluster, other: Cluster
) -> None:
    try:
        once = inject(pod, cluster, SETTINGS)
        again = inject(once, other, SETTINGS)
    except Refused:
        return
    assert patched(pod, once) == once
    assert patched(once, again) == again
    assert inject(again, other, SETTINGS) == again
