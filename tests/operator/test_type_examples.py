"""Every SessionCluster that is shown to a reader applies as it stands."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from moorline_api import KIND, decode_spec

from tests.operator.control_plane import ControlPlane

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "crds" / "examples"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^( *)```ya?ml\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def documented() -> Iterator[tuple[str, dict[str, Any]]]:
    """SessionClusters by where they are: the files of examples, and blocks of pages."""
    for path in sorted(EXAMPLES.iterdir()):
        yield from _clusters_of(path.name, path.read_text(encoding="utf-8"))
    for page in PAGES:
        for number, found in enumerate(BLOCK.finditer(page.read_text(encoding="utf-8")), start=1):
            if KIND in found[2]:
                yield from _clusters_of(f"{page.name}-{number}", found[2])


def _clusters_of(place: str, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    documents = [each for each in yaml.safe_load_all(text) if each and each.get("kind") == KIND]
    for number, each in enumerate(documents, start=1):
        yield f"{place}-{number}", each


CLUSTERS = dict(documented())


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_a_documented_sessioncluster_applies(
    control_plane: ControlPlane, crds: None, cluster: dict[str, Any]
) -> None:
    del crds
    # There it would have to exist.
    cluster["metadata"].pop("namespace", None)

    said = control_plane.kubectl(
        *("apply", "--dry-run=server", "--validate=strict", "--filename=-"),
        stdin=yaml.safe_dump(cluster),
    )

    assert f"{cluster['metadata']['name']} created" in said


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS)
def test_a_documented_sessioncluster_is_read_by_python(cluster: dict[str, Any]) -> None:
    assert decode_spec(cluster["spec"]).backend.type == cluster["spec"]["backend"]["type"]


def test_the_examples_apply_beside_each_other(
    control_plane: ControlPlane, crds: None, namespace: str
) -> None:
    del crds

    control_plane.kubectl("apply", f"--filename={EXAMPLES}", f"--namespace={namespace}")

    listed = control_plane.kubectl("get", "scl", f"--namespace={namespace}", "--output=name")
    assert len(listed.split()) == len(list(EXAMPLES.iterdir()))
