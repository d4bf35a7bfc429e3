"""Storage of the single node: a default StorageClass, and volumes that wait for claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from e2e.cluster import places

COUNT: Final = 64
CLASS: Final = "standard"


_ON_THE_NODE: Final = {
    "matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": [places.NODE]}
    ]
}


def volumes() -> str:
    """The objects, as kubectl applies them; makes the folders of the volumes."""
    names = [f"volume-{number}" for number in range(COUNT)]
    for name in names:
        _folder(name).mkdir(parents=True, exist_ok=True)
    items = [_class(), *(_volume(name) for name in names)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _folder(name: str) -> Path:
    return places.running() / "volumes" / name


def _class() -> dict[str, object]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _volume(name: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "storageClassName": CLASS,
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            # Unlike those of hostPath, the kubelet gives its files to the pod's group.
            "local": {"path": str(_folder(name))},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [_ON_THE_NODE]}},
        },
    }
