"""What scenarios read of a cluster's objects, and of the pages that tell what to type."""

from pathlib import Path
from typing import Any

import pytest

from e2e.suite.commands import ROOT
from e2e.suite.namespace import has_settled
from e2e.suite.pages import commands_below
from e2e.suite.pods import restarts_of, status_of
from e2e.suite.target import Target

SETTLED = {"observedGeneration": 4, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


@pytest.mark.parametrize(
    ("status", "is_settled"),
    [
        pytest.param({}, True, id="all-as-it-should-be"),
        pytest.param({"observedGeneration": 3}, False, id="not-yet-seen"),
        pytest.param({"replicas": 3}, False, id="an-old-one-is-left"),
        pytest.param({"updatedReplicas": 1}, False, id="an-old-one-serves"),
        pytest.param({"availableReplicas": 1}, False, id="one-is-not-available"),
        pytest.param(
            {"replicas": 6, "updatedReplicas": 6, "availableReplicas": 6},
            False,
            id="scaled-down-and-nobody-gone",
        ),
    ],
)
def test_a_deployment_settles(status: dict[str, int], *, is_settled: bool) -> None:
    assert has_settled(a_deployment(2, {**SETTLED, **status})) == is_settled


def test_a_deployment_of_none_settles_without_counts() -> None:
    assert has_settled(a_deployment(0, {"observedGeneration": 4}))
    assert not has_settled(a_deployment(0, {}))


def test_restarts_of_a_sidecar_count_as_those_of_its_pod() -> None:
    sidecar = {"name": "moorline", "restartCount": 2}
    shop = {"name": "shop", "restartCount": 1}
    pod = {"status": {"initContainerStatuses": [sidecar], "containerStatuses": [shop]}}

    assert restarts_of(pod) == 3
    assert status_of(pod, "moorline") == sidecar
    assert restarts_of({"status": {}}) == 0


@pytest.mark.parametrize(
    ("registry", "name"),
    [
        pytest.param("", "moorline/sidecar:0.1.0", id="loaded"),
        pytest.param("r.example.com/t", "r.example.com/t/moorline-sidecar:0.1.0", id="pushed"),
    ],
)
def test_an_image_has_the_name_that_the_cluster_knows(registry: str, name: str) -> None:
    target = Target("given", Path("kubeconfig"), registry)

    assert target.image("moorline/sidecar:0.1.0") == name


def test_commands_are_those_of_the_first_block_below_the_heading() -> None:
    page = """
## Before
```sh
no
```
## Install
```yaml
no: it
```
```sh
helm install \\
  --wait
kubectl get pods
```
### Later
```sh
no
```
"""
    assert commands_below("## Install", page) == ["helm install   --wait", "kubectl get pods"]


def test_the_first_install_begins_as_both_pages_say() -> None:
    readme = commands_below("## On Kubernetes", (ROOT / "README.md").read_text())
    install = commands_below("## Install", (ROOT / "docs" / "install.md").read_text())

    assert readme[0] == install[0]


def a_deployment(replicas: int, status: dict[str, int]) -> dict[str, Any]:
    return {"metadata": {"generation": 4}, "spec": {"replicas": replicas}, "status": status}
