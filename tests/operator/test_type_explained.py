"""What kubectl shows of the type to people."""

import json
import re

from tests.operator.control_plane import ControlPlane

CLUSTER = {
    "apiVersion": "moorline.io/v1alpha1",
    "kind": "SessionCluster",
    "metadata": {"name": "shop"},
    "spec": {"backend": {"type": "Memory"}},
}
STATUS = {
    "observedGeneration": 1,
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "WorkersNotReady",
            "message": "2 of 3 workers are ready.",
            "lastTransitionTime": "2026-11-22T08:00:00Z",
            "observedGeneration": 1,
        }
    ],
    "workers": {
        "summary": "2/3",
        "selected": 3,
        "named": 3,
        "ready": 2,
        "outdated": 4,
        "missing": 5,
    },
    "purge": {"lastRun": "2026-11-22T08:00:00Z", "lastSuccess": "2026-11-22T08:00:00Z"},
    "sidecarImage": "registry.example.com/moorline-sidecar:1.2.3",
}


def explained(control_plane: ControlPlane, path: str) -> str:
    """What `kubectl explain` prints, with its line breaks as spaces."""
    return " ".join(control_plane.kubectl("explain", f"scl.{path}").split())


def test_a_choice_is_explained_with_its_words_risks_and_default(
    control_plane: ControlPlane, crds: None
) -> None:
    del crds
    text = explained(control_plane, "spec.cookie.sameSite")

    assert "ENUM: Strict Lax None" in text
    assert "links from other sites keep working" in text
    assert 'Default: "Lax".' in text
    assert "None: Every site can make requests as the user: protect forms against forgery." in text


def test_a_value_is_explained_with_what_it_takes_and_its_default(
    control_plane: ControlPlane, crds: None
) -> None:
    del crds
    text = explained(control_plane, "spec.sessions.maxBytes")

    assert 'Takes a size in bytes, such as "1Mi" or 1048576. Default: "1Mi".' in text


def test_the_columns_tell_what_matters(
    control_plane: ControlPlane, crds: None, namespace: str
) -> None:
    del crds
    within = f"--namespace={namespace}"
    control_plane.kubectl("apply", "--filename=-", within, stdin=json.dumps(CLUSTER))
    patch = json.dumps({"status": STATUS})
    control_plane.kubectl(
        *("patch", "scl", "shop", within, "--subresource=status", "--type=merge", "--patch", patch)
    )

    head, line = control_plane.kubectl("get", "scl", within, "--output=wide").splitlines()

    cells = dict(
        zip(re.split(r" {2,}", head.strip()), re.split(r" {2,}", line.strip()), strict=True)
    )
    assert cells.pop("LAST PURGE")
    assert cells.pop("AGE")
    assert cells == {
        "NAME": "shop",
        "READY": "False",
        "WORKERS": "2/3",
        "BACKEND": "Memory",
        "REASON": "WorkersNotReady",
        "MISSING": "5",
        "OUTDATED": "4",
    }
    assert "REASON" not in control_plane.kubectl("get", "moorline", within)
