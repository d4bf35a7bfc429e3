"""What users of a cluster apply, for the rows of the operator: SessionClusters and pods."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

from moorline_operator import naming
from moorline_operator.cluster import cluster_of
from moorline_operator.injection import inject
from moorline_operator.kube.api import KubeObject
from moorline_operator.settings import InjectionSettings

IN_FLIGHT: Final = 48
"""Requests under way at a time: the API server's own limit for one user is 200."""

T = TypeVar("T")


def session_cluster(namespace: str, name: str, spec: dict[str, Any] | None = None) -> KubeObject:
    """On MongoDB, unless the spec says otherwise."""
    mongodb = {"connectionSecretRef": {"name": f"{name}-mongodb"}}
    return {
        "apiVersion": "moorline.io/v1alpha1",
        "kind": "SessionCluster",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"backend": {"type": "MongoDB", "mongodb": mongodb}, **(spec or {})},
    }


def pod(namespace: str, name: str, cluster: str, chance: random.Random) -> KubeObject:
    """One of a Deployment, with one to three containers and some variables each."""
    containers = [_container(number, chance) for number in range(chance.randint(1, 3))]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {naming.CLUSTER: cluster, "app": cluster, "pod-template-hash": "5d4f8c7b9"},
            "annotations": {"example.com/build": f"{chance.getrandbits(128):032x}"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": f"{cluster}-5d4f8c7b9",
                    "uid": f"{chance.getrandbits(128):032x}",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {"containers": containers, "terminationGracePeriodSeconds": 60},
    }


def injected(made: KubeObject, cluster: KubeObject, settings: InjectionSettings) -> KubeObject:
    """The pod as the webhook would answer."""
    return inject(made, cluster_of(cluster), settings)


async def each(items: Iterable[T], work: Callable[[T], Awaitable[object]]) -> None:
    """Do it for all, `IN_FLIGHT` at a time.

    Raises:
        ExceptionGroup: of the first that failed.
    """
    waiting = iter(items)

    async def go() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(IN_FLIGHT):
            tasks.create_task(go())


def _container(number: int, chance: random.Random) -> KubeObject:
    variables = [
        {"name": f"SETTING_{index}", "value": f"{chance.getrandbits(96):024x}"}
        for index in range(chance.randint(2, 16))
    ]
    return {
        "name": f"app-{number}",
        "image": f"registry.example.com/shop/app-{number}@sha256:{chance.getrandbits(256):064x}",
        "ports": [{"containerPort": 8080 + number, "name": f"http-{number}"}],
        "env": variables,
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"memory": "512Mi"},
        },
        "readinessProbe": {"httpGet": {"path": "/ready", "port": f"http-{number}"}},
    }
