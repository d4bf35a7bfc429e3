from typing import Any

import pytest
from moorline_operator.cluster import cluster_of

from tests.operator.workloads import a_session_cluster


def seen(**metadata: object) -> dict[str, Any]:
    spec = {"sessions": {"maxIdle": "30m"}}
    return a_session_cluster("web", "shop", spec, **{"uid": "1", "generation": 1, **metadata})


def test_a_cluster_of_which_nothing_but_the_status_changed_is_the_one_that_is_known() -> None:
    known = cluster_of(seen())

    assert (
        cluster_of({**seen(resourceVersion="7"), "status": {"sidecarImage": "x"}}, known) is known
    )


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"uid": "2"}, id="another of the same name"),
        pytest.param({"generation": 2}, id="a later generation"),
        pytest.param({"annotations": {"moorline.io/purge-now": "a"}}, id="annotated"),
        pytest.param({"deletionTimestamp": "2026-11-22T08:00:00Z"}, id="being deleted"),
    ],
)
def test_what_else_changes_is_seen_and_the_same_spec_is_not_read_again(
    metadata: dict[str, Any],
) -> None:
    known = cluster_of(seen())

    found = cluster_of(seen(**metadata), known)

    assert found == cluster_of(seen(**metadata)) != known
    assert found.spec is known.spec


def test_another_default_of_the_same_generation_is_seen() -> None:
    known, changed = cluster_of(seen()), seen()
    changed["spec"]["sessions"] = {"maxIdle": "45m"}

    assert cluster_of(changed, known) == cluster_of(changed) != known
