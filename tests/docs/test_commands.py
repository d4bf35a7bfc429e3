"""The commands of the pages about Kubernetes, run against a real API server."""

import re
import shutil
from pathlib import Path
from typing import Final

import pytest
import yaml
from moorline_operator import naming

from tests.architecture.source import ROOT
from tests.operator.control_plane import ControlPlane
from tests.operator.workloads import DEPLOYMENTS, a_bare_pod, a_workload
from tests.sidecar.pages import blocks, page, section
from tests.sidecar.test_readme import is_as_printed, printed_by, steps_of

WAITING: Final = {"schedulingGates": [{"name": naming.GATE}, {"name": "example.com/other"}]}


@pytest.fixture
def kubectl(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> ControlPlane:
    """The control plane, as the kubectl of a shell finds it too."""
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on the path")
    return control_plane


@pytest.mark.usefixtures("crds")
def test_the_commands_print_what_the_page_says(kubectl: ControlPlane, namespace: str) -> None:
    workload = a_workload(DEPLOYMENTS, namespace, cluster="")
    kubectl.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(workload))
    steps = steps_of(page("kubernetes.md"))
    commands = [step.command.replace("-n web", f"-n {namespace}") for step in steps]

    outputs = printed_by(commands, ROOT)

    differences = [
        f"$ {step.command}\nthe page: {step.printed}\nprinted:  {output}"
        for step, output in zip(steps, outputs, strict=True)
        if not is_as_printed(_trimmed(output), _trimmed(step.printed))
    ]
    assert steps
    assert "\n\n".join(differences) == ""


def _trimmed(text: str) -> str:
    """The text without the blanks at the ends of lines that kubectl prints."""
    return re.sub(r"\s+$", "", text, flags=re.MULTILINE)


def test_pods_that_were_left_gated_get_a_name_and_run(
    kubectl: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    waiting = a_bare_pod(namespace, "waiting")
    named = a_bare_pod(namespace, "named")
    stranger = a_bare_pod(namespace, "stranger", cluster=None)
    named["metadata"]["labels"][naming.WORKER] = "node7"
    for pod in (waiting, named, stranger):
        pod["spec"] |= WAITING
    kubectl.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all([waiting, named, stranger]))
    (command,) = blocks(section(page("install.md"), "### Pods that were left gated"), "sh")

    printed_by([command.replace("--all-namespaces", f"--namespace {namespace}")], tmp_path)

    told = "{.metadata.uid} {.metadata.labels.moorline\\.io/worker} {.spec.schedulingGates[*].name}"
    found = {
        name: kubectl.kubectl("get", "pod", name, "-n", namespace, f"--output=jsonpath={told}")
        for name in ("waiting", "named", "stranger")
    }
    uid, worker, gates = found["waiting"].split(" ", 2)
    assert (worker, gates) == (uid.replace("-", ""), "example.com/other")
    assert found["named"].endswith(f"node7 {naming.GATE} example.com/other")
    assert found["stranger"].endswith(f" {naming.GATE} example.com/other")


@pytest.mark.parametrize("name", ["kubernetes.md", "install.md"])
def test_what_a_page_shows_as_yaml_is_yaml(name: str) -> None:
    assert all(yaml.safe_load(block) for block in blocks(page(name), "yaml"))
