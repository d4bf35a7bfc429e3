"""The CustomResourceDefinition of the SessionCluster, made from the model that reads it.

`python -m moorline_api.schema FILE …` writes it, as YAML, into every file.
"""

import sys
from pathlib import Path
from typing import Any, Final

from moorline_api.assertions import assertion_on_the_name
from moorline_api.block_yaml import block_yaml
from moorline_api.model import GROUP, KIND, PLURAL, SHORT_NAME, VERSION, SessionClusterSpec
from moorline_api.openapi import schema_of
from moorline_api.status import SessionClusterStatus

_HEAD: Final = "# Made by `make crds` from crds/moorline_api: change that, and make it anew.\n"
_READY: Final = '.status.conditions[?(@.type=="Ready")]'
# What `kubectl get` shows: header, JSON path, description, type. Each path leads to one value.
_COLUMNS: Final = (
    ("Ready", f"{_READY}.status", "Whether all is as wished.", "string"),
    ("Workers", ".status.workers.summary", "Ready pods of all that are selected.", "string"),
    ("Backend", ".spec.backend.type", "Where sessions are kept.", "string"),
    ("Last Purge", ".status.purge.lastSuccess", "Since the last good purge ended.", "date"),
    ("Age", ".metadata.creationTimestamp", "Since it was made.", "date"),
)
# The same, with `-o wide` alone.
_WIDE_COLUMNS: Final = (
    ("Reason", f"{_READY}.reason", "Why it is ready, or not.", "string"),
    ("Missing", ".status.workers.missing", "Pods without a sidecar or a name.", "integer"),
    ("Outdated", ".status.workers.outdated", "Pods with an older sidecar.", "integer"),
)


def custom_resource_definition() -> dict[str, Any]:
    """The CustomResourceDefinition as plain data."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": [SHORT_NAME],
                "categories": ["moorline"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                    "schema": {"openAPIV3Schema": _object()},
                }
            ],
        },
    }


def text() -> str:
    """The CustomResourceDefinition as YAML."""
    return _HEAD + block_yaml(custom_resource_definition())


def _columns() -> list[dict[str, Any]]:
    return [
        {"name": name, "jsonPath": path, "description": why, "type": kind, "priority": priority}
        for priority, columns in enumerate((_COLUMNS, _WIDE_COLUMNS))
        for name, path, why, kind in columns
    ]


def _object() -> dict[str, Any]:
    return {
        "description": "The sessions of one application: where they are kept, how they live, "
        "and how the sidecars of its pods serve them.",
        "type": "object",
        "x-kubernetes-validations": [assertion_on_the_name()],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": f"{GROUP}/{VERSION}."},
            "kind": {"type": "string", "description": f"{KIND}."},
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": schema_of(SessionClusterSpec, "spec", "What is wished for."),
            "status": schema_of(SessionClusterStatus, "status", "What the operator observed."),
        },
    }


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(text(), encoding="utf-8")
