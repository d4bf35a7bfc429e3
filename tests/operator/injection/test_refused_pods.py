from typing import Any

import pytest
from moorline_operator import naming
from moorline_operator.injection import Refused, inject

from tests.operator.injection.samples import ALL_EXTRAS, SETTINGS, a_cluster
from tests.operator.objects import a_pod


def app(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a container has
    return {"name": "app", **fields}


def listening(port: int, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - see above
    return app(ports=[{"containerPort": port, **fields}])


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        pytest.param(a_pod(spec={"hostNetwork": True}), ["hostNetwork", "remove"], id="host"),
        pytest.param(a_pod(spec={"os": {"name": "windows"}}), ["Windows", "label"], id="os"),
        pytest.param(
            a_pod(spec={"nodeSelector": {"kubernetes.io/os": "windows"}}),
            ["Windows", naming.CLUSTER],
            id="node selector",
        ),
        pytest.param(
            a_pod(spec={"nodeName": "n1"}), ["nodeName", "remove", "nodeSelector"], id="node"
        ),
        pytest.param(
            a_pod(labels={naming.WORKER: "node3"}), [naming.WORKER, "remove"], id="worker"
        ),
        pytest.param(
            a_pod(spec={"containers": [listening(7070)]}),
            ["app", "7070", "spec.sidecar.port "],
            id="data port",
        ),
        pytest.param(
            a_pod(spec={"containers": [listening(7071, protocol="TCP")]}),
            ["7071", "spec.sidecar.healthPort"],
            id="health port",
        ),
        pytest.param(
            a_pod(spec={"initContainers": [listening(7072)]}),
            ["7072", "spec.sidecar.opsPort"],
            id="operations port",
        ),
        pytest.param(
            a_pod(spec={"containers": [{"name": "moorline"}]}),
            ["named moorline", "another name"],
            id="container",
        ),
        pytest.param(
            a_pod(spec={"initContainers": [{"name": "moorline", "restartPolicy": "Always"}]}),
            ["named moorline", "leave it out"],
            id="init container",
        ),
        pytest.param(
            a_pod(spec={"volumes": [{"name": "moorline-config", "emptyDir": {}}]}),
            ["moorline-config", "another name"],
            id="volume",
        ),
        pytest.param(
            a_pod(
                spec={
                    "containers": [app(volumeMounts=[{"name": "x", "mountPath": "/run/moorline/"}])]
                }
            ),
            ["app", "/run/moorline", "somewhere else"],
            id="mount",
        ),
    ],
)
def test_a_pod_that_cannot_join_is_refused_with_the_cure(
    pod: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(Refused) as refusal:
        inject(pod, a_cluster(sidecar=ALL_EXTRAS), SETTINGS)
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(a_pod(spec={"containers": [listening(7070, protocol="UDP")]}), id="UDP"),
        pytest.param(a_pod(spec={"containers": [listening(8080)]}), id="other port"),
        pytest.param(a_pod(spec={"nodeSelector": {"kubernetes.io/os": "linux"}}), id="Linux"),
        pytest.param(a_pod(spec={"containers": None, "initContainers": None}), id="null"),
    ],
)
def test_what_only_looks_like_a_clash_is_injected(pod: dict[str, Any]) -> None:
    assert inject(pod, a_cluster(), SETTINGS)["spec"]["initContainers"]
