import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

import pytest

from tests.charts.gateway import Gateway
from tests.charts.releases import Release, eventually, installed
from tests.operator.control_plane import ControlPlane

CHILD: Final = ("get", "list", "watch", "create", "patch", "delete")
EVERYWHERE: Final = {
    "sessionclusters.moorline.io": ("get", "list", "watch"),
    "sessionclusters.moorline.io/status": ("patch",),
    "pods": ("get", "list", "watch", "patch"),
    "leases.coordination.k8s.io": (*CHILD, "update"),
    "configmaps": CHILD,
    "jobs.batch": CHILD,
    "cronjobs.batch": CHILD,
    "networkpolicies.networking.k8s.io": CHILD,
    "podmonitors.monitoring.coreos.com": CHILD,
    "events.events.k8s.io": ("create", "patch", "update"),
}
"""What the operator calls, where SessionClusters are."""

Asked: TypeAlias = tuple[str, str, str, str]
"""Namespace, verb, `resource.group/subresource` as kubectl writes it, and name."""

pytestmark = pytest.mark.usefixtures("crds")

KEPT: Final = ("get", "list", "watch", "update", "patch")
NEVER: Final = {
    "secrets": ("get", "list", "watch", "create", "update", "patch", "delete"),
    "pods": ("create", "update", "delete", "deletecollection"),
    "pods/exec": ("create", "get"),
    "pods/attach": ("create", "get"),
    "pods/ephemeralcontainers": ("patch", "update"),
    "pods/eviction": ("create",),
    "pods/log": ("get",),
    "pods/status": ("patch", "update"),
    "namespaces": ("get", "list", "watch", "patch", "delete"),
    "nodes": ("get", "list"),
    "serviceaccounts": ("get", "create", "impersonate"),
    "serviceaccounts/token": ("create",),
    "deployments.apps": ("get", "create", "patch"),
    "sessionclusters.moorline.io": ("create", "update", "patch", "delete"),
    "roles.rbac.authorization.k8s.io": ("create", "bind", "escalate", "patch"),
    "clusterroles.rbac.authorization.k8s.io": ("create", "bind", "escalate", "patch"),
    "validatingadmissionpolicies.admissionregistration.k8s.io": ("get", "patch", "delete"),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io": ("patch", "delete"),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": (
        *("create", "delete", "get", "list", "patch"),
    ),
    "customresourcedefinitions.apiextensions.k8s.io": ("get", "patch"),
}


@pytest.fixture(scope="module")
def release(control_plane: ControlPlane, module_namespace: str) -> Iterator[Release]:
    with installed(control_plane, module_namespace) as found:
        yield found


def allowed(gate: Gateway, user: str, asked: Sequence[Asked]) -> list[Asked]:
    """What the user may do of it."""
    return [each for each in asked if _is_allowed(gate, _review(user, *each))]


def until_allowed(gate: Gateway, user: str, asked: Sequence[Asked]) -> None:
    """Wait until the user may do all of it: roles that were just made count a moment later.

    Raises:
        AssertionError: what the user may not do in the end.
    """
    found: list[Asked] = []

    def is_so() -> bool:
        found[:] = allowed(gate, user, asked)
        return found == [*asked]

    with suppress(TimeoutError):
        eventually(is_so)
    assert found == [*asked]


def _is_allowed(gate: Gateway, review: dict[str, Any]) -> bool:
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    headers = {"Content-Type": "application/json"}
    _status, answer = gate.request("POST", path, json.dumps(review), headers)
    return bool(answer["status"]["allowed"])


def _review(user: str, namespace: str, verb: str, path: str, name: str) -> dict[str, Any]:
    kind, _, subresource = path.partition("/")
    resource, _, group = kind.partition(".")
    attributes = {
        "namespace": namespace,
        "verb": verb,
        "group": group,
        "name": name,
        "resource": resource,
        "subresource": subresource,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user,
            "groups": ["system:serviceaccounts", "system:authenticated"],
            "resourceAttributes": attributes,
        },
    }


def each_of(table: Mapping[str, tuple[str, ...]], namespace: str, name: str = "") -> list[Asked]:
    return [(namespace, verb, path, name) for path, verbs in table.items() for verb in verbs]


def test_the_operator_may_do_what_it_does(gate: Gateway, release: Release) -> None:
    own = {"secrets": KEPT}
    webhook = {"mutatingwebhookconfigurations.admissionregistration.k8s.io": KEPT}
    lease = {"leases.coordination.k8s.io": ("get", "update", "patch")}
    asked = [
        *each_of(EVERYWHERE, ""),
        *each_of(EVERYWHERE, "elsewhere"),
        *each_of(own, release.namespace, f"{release.prefix}-webhook"),
        *each_of(lease, release.namespace, f"{release.prefix}-leader"),
        *each_of(webhook, "", release.cluster_name),
    ]
    until_allowed(gate, release.user, asked)


def test_the_operator_may_do_nothing_else(gate: Gateway, release: Release) -> None:
    asked = [
        *each_of(NEVER, release.namespace),
        *each_of(NEVER, release.namespace, "another"),
        *each_of(NEVER, "kube-system"),
        *each_of(NEVER, ""),
        ("elsewhere", "get", "secrets", f"{release.prefix}-webhook"),
    ]
    assert not allowed(gate, release.user, asked)


def test_its_own_objects_can_be_listed_and_watched_by_their_name(release: Release) -> None:
    for kind, name in (
        ("secrets", f"{release.prefix}-webhook"),
        ("mutatingwebhookconfigurations", release.cluster_name),
    ):
        only = f"--field-selector=metadata.name={name}"
        found = release.kubectl("get", kind, only, "--output=name", f"--as={release.user}")
        assert found.strip().endswith(f"/{name}")


def test_no_rule_has_a_wildcard_and_none_creates_secrets(
    control_plane: ControlPlane, namespace: str
) -> None:
    for flags in ((), ("--set=watchNamespaces={shop,blog}",)):
        objects = Release(control_plane, "demo", namespace).objects(*flags)
        rules = [rule for each in objects for rule in each.get("rules", ())]
        assert len(rules) > len(EVERYWHERE)
        assert "*" not in "".join(word for rule in rules for part in rule.values() for word in part)
        secrets = [rule for rule in rules if "secrets" in rule["resources"]]
        assert [rule["resourceNames"] for rule in secrets] == [["demo-moorline-webhook"]]
        assert not {"create", "delete"} & {verb for rule in secrets for verb in rule["verbs"]}


def test_watched_namespaces_are_all_that_the_operator_reaches(
    control_plane: ControlPlane, gate: Gateway, namespace: str
) -> None:
    with installed(control_plane, namespace, "--set=watchNamespaces={kube-public}") as release:
        # Its own Lease has to be made; what is made cannot be told by its name.
        own = (namespace, "create", "leases.coordination.k8s.io", "")
        until_allowed(gate, release.user, [*each_of(EVERYWHERE, "kube-public"), own])
        elsewhere = [*each_of(EVERYWHERE, ""), *each_of(EVERYWHERE, "default")]
        asked = [*elsewhere, *each_of(EVERYWHERE, namespace)]
        assert allowed(gate, release.user, asked) == [own]
        configuration = release.kubectl(
            *("get", "mutatingwebhookconfigurations", release.cluster_name),
            "--output=jsonpath={.webhooks[0].namespaceSelector.matchExpressions[*].values}",
        )
        assert configuration == '["kube-system","kube-node-lease"] ["kube-public"]'


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        ("view", {"get", "list", "watch"}),
        ("edit", {"get", "list", "watch", "create", "update", "patch", "delete"}),
        ("admin", {"get", "list", "watch", "create", "update", "patch", "delete"}),
    ],
)
def test_people_may_do_with_session_clusters_what_their_role_says(
    gate: Gateway, release: Release, role: str, verbs: set[str]
) -> None:
    user, namespace = f"jo-who-may-{role}", release.namespace
    release.kubectl("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
    path = "sessionclusters.moorline.io"
    asked = [(namespace, verb, path, "") for verb in sorted(verbs | {"create", "delete"})]

    def may() -> set[str]:
        return {verb for _namespace, verb, *_rest in allowed(gate, user, asked)}

    # Roles are aggregated by a controller.
    eventually(lambda: may() == verbs)
