import json
from collections.abc import Iterator
from typing import Final

import pytest
import yaml

from tests.charts.releases import Release, eventually
from tests.cluster_fixtures import until_done
from tests.operator.control_plane import CommandFailed, ControlPlane
from tests.operator.installation import wait_until_unguarded

SESSION_CLUSTER: Final = {
    "apiVersion": "moorline.io/v1alpha1",
    "kind": "SessionCluster",
    "metadata": {"name": "shop"},
    "spec": {"backend": {"type": "Memory"}},
}

TAKE: Final = "--take-ownership"
"""Of the definition that another release, or another test, has left."""

NO_CRD: Final = "--set=crds.enabled=false"


@pytest.fixture
def release(control_plane: ControlPlane, namespace: str) -> Iterator[Release]:
    found = Release(control_plane, f"it-{namespace[-8:]}", namespace)
    yield found
    found.helm("uninstall", "--ignore-not-found")
    wait_until_unguarded(control_plane)


def test_an_upgrade_leaves_the_certificates_alone(
    control_plane: ControlPlane, release: Release
) -> None:
    release.helm("install", NO_CRD)
    # Any authority will do.
    bundle = control_plane.ca
    secret = f"secret/{release.prefix}-webhook"
    configuration = f"mutatingwebhookconfiguration/{release.cluster_name}"
    as_the_operator = ("--type=json", f"--as={release.user}")
    filled = [{"op": "add", "path": "/data", "value": {"ca.crt": bundle}}]
    release.kubectl("patch", secret, *as_the_operator, f"-p={json.dumps(filled)}")
    path = "/webhooks/0/clientConfig/caBundle"
    published = [{"op": "add", "path": path, "value": bundle}]
    release.kubectl("patch", configuration, *as_the_operator, f"-p={json.dumps(published)}")

    def kept() -> tuple[str, str]:
        return (
            release.kubectl("get", secret, "--output=jsonpath={.data.ca\\.crt}"),
            release.kubectl(
                "get", configuration, "--output=jsonpath={.webhooks[0].clientConfig.caBundle}"
            ),
        )

    def watched() -> str:
        return release.kubectl("get", configuration, "--output=jsonpath={.webhooks[0]}")

    release.helm("upgrade", NO_CRD, "--set=watchNamespaces={default},replicas=3,logLevel=debug")
    assert '"values":["default"]' in watched()
    assert kept() == (bundle, bundle)
    # What it comes from and goes to has no data either.
    release.helm("upgrade", NO_CRD)
    release.helm("rollback", "2")
    assert '"values":["default"]' in watched()
    assert kept() == (bundle, bundle)


def test_uninstalling_leaves_what_belongs_to_people(
    control_plane: ControlPlane, release: Release
) -> None:
    notes = release.helm("install", TAKE)
    assert f"helm test {release.name} --namespace {release.namespace}" in notes
    assert len(release.leftovers()) > len(("accounts", "roles", "policies", "webhook"))
    # kubectl cannot wait for a definition of which nothing is said yet.
    until_done(control_plane, "get", "sessionclusters")
    release.kubectl("create", "--filename=-", stdin=yaml.safe_dump(SESSION_CLUSTER))
    release.kubectl("create", "--filename=-", stdin=yaml.safe_dump(_child(release)))

    release.helm("uninstall")
    eventually(
        lambda: release.leftovers() == {"CustomResourceDefinition/sessionclusters.moorline.io"}
    )
    kept = release.kubectl("get", "sessionclusters,configmaps", "--output=name").split()
    assert set(kept) == {
        "sessioncluster.moorline.io/shop",
        "configmap/shop-moorline",
        "configmap/kube-root-ca.crt",
    }

    # The same release as it was, another one by taking over the definition.
    release.helm("install")
    release.helm("uninstall")
    other = Release(control_plane, f"other-{release.name}", release.namespace)
    with pytest.raises(CommandFailed, match="cannot be imported into the current release"):
        other.helm("install")
    other.helm("install", TAKE)
    other.helm("uninstall")
    assert release.kubectl("get", "sessioncluster", "shop", "--output=name")


def _child(release: Release) -> dict[str, object]:
    uid = release.kubectl("get", "sessioncluster", "shop", "--output=jsonpath={.metadata.uid}")
    owner = {"apiVersion": "moorline.io/v1alpha1", "kind": "SessionCluster", "name": "shop"}
    metadata = {"name": "shop-moorline", "ownerReferences": [{**owner, "uid": uid}]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def test_a_gate_can_be_taken_away_by_hand(control_plane: ControlPlane, namespace: str) -> None:
    gates = [{"name": "moorline.io/worker-name"}, {"name": "example.com/other"}]
    spec = {"containers": [{"name": "a", "image": "a"}], "schedulingGates": gates}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "waiting"}, "spec": spec}
    where = f"--namespace={namespace}"
    control_plane.kubectl("create", where, "--filename=-", stdin=yaml.safe_dump(pod))
    # As the chart's README says.
    patch = (
        '{"spec": {"schedulingGates": [{"$patch": "delete", "name": "moorline.io/worker-name"}]}}'
    )
    control_plane.kubectl("patch", "pod", "waiting", where, "--patch", patch)
    left = control_plane.kubectl(
        "get", "pod", "waiting", where, "--output=jsonpath={.spec.schedulingGates[*].name}"
    )
    assert left == "example.com/other"
