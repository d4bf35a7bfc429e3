import json
from typing import Any

import pytest
import yaml

from charts.readme import Uncommented, filled, values_of
from tests.charts.releases import CHART, ROOT, Release
from tests.operator.control_plane import CommandFailed, ControlPlane


@pytest.mark.parametrize(
    ("flag", "why"),
    [
        ("replica=3", "'replica' not allowed"),
        ("replicas=0", "/replicas"),
        ("image.Tag=1", "'Tag' not allowed"),
        ("image.digest=sha256:abc", "/image/digest"),
        ("sidecar.runAsUser=0", "/sidecar/runAsUser"),
        ("sidecar.runAsUser=root", "/sidecar/runAsUser"),
        ("webhook.port=443", "/webhook/port"),
        ("webhook.port=8080", "/webhook/port"),
        ("certificates.leafLife=7 days", "/certificates/leafLife"),
        ("logLevel=loud", "/logLevel"),
        ("watchNamespaces={Web}", "/watchNamespaces/0"),
        ("watchNamespaces=web", "/watchNamespaces"),
        ("crds.keep=false", "'keep' not allowed"),
        ("priorityClass.value=2000000000", "/priorityClass/value"),
        ("resources.request.cpu=1", "'request' not allowed"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(
    control_plane: ControlPlane, flag: str, why: str
) -> None:
    with pytest.raises(CommandFailed) as refused:
        Release(control_plane, "demo", "web").objects(f"--set={flag}")
    assert why in str(refused.value)


def test_the_table_of_values_is_made_of_their_comments() -> None:
    page = (CHART / "README.md").read_text(encoding="utf-8")
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    assert page == filled(page, values), "`make docs` writes it anew"


def test_a_value_without_a_comment_is_not_forgotten() -> None:
    with pytest.raises(Uncommented, match=r"^image\.tag$"):
        values_of("image:\n  # The image.\n  repository: a\n  tag: b\n")


def test_the_definition_of_the_chart_is_a_copy_of_the_generated_one() -> None:
    name = "moorline.io_sessionclusters.yaml"
    copy = (CHART / "files" / name).read_bytes()
    assert copy == (ROOT / "crds" / name).read_bytes(), "`make docs` copies it"


def test_the_schema_has_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    assert {*_paths(values)} == {*_schema_paths(schema, schema["$defs"])} - {"/global"}


# What people fill in as Kubernetes has it: below them the schema has no names.
_OPEN = {"/nodeSelector", "/podLabels", "/podAnnotations", "/dashboard/labels"} | {
    "/serviceMonitor/labels",
    "/resources/requests",
    "/resources/limits",
}


def _paths(values: dict[str, Any], path: str = "") -> list[str]:
    found = []
    for name, value in values.items():
        here = f"{path}/{name}"
        is_group = isinstance(value, dict) and here not in _OPEN
        found += _paths(value, here) if is_group else [here]
    return found


def _schema_paths(node: dict[str, Any], definitions: dict[str, Any], path: str = "") -> list[str]:
    node = definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    if "properties" not in node:
        return [path]
    assert node["additionalProperties"] is False
    return [
        found
        for name, each in node["properties"].items()
        for found in _schema_paths(each, definitions, f"{path}/{name}")
    ]
