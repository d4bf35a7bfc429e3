"""The cluster as scenarios use it: Moorline installed, a shop with its store in a namespace."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import yaml
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import PODS
from moorline_operator.pods import PodRecord, record_of

from e2e.suite.commands import ROOT, CommandFailed, Commands
from e2e.suite.crowd import USERS, Crowd, shopping
from e2e.suite.story import Story
from e2e.suite.target import Target
from tests.operator.watching import eventually, everything

RELEASE: Final = "moorline"
OPERATOR: Final = "moorline-system"
RESTRICTED: Final = "pod-security.kubernetes.io/enforce=restricted"
SHOP_IMAGE: Final = "moorline.test/shop:1"
REPLICAS: Final = 3
READY_SECONDS: Final = 120

_NEW_SESSION: Final = """
import os, urllib.request
request = urllib.request.Request(os.environ["MOORLINE_URL"] + "/v1/sessions", method="POST")
print(urllib.request.urlopen(request).read().decode())
"""
_MANIFESTS: Final = ROOT / "e2e" / "app" / "manifests"
_CHART: Final = "charts/moorline"


class Stage:
    """One cluster, and what a person with all rights does there; every method may be repeated."""

    def __init__(self, target: Target, commands: Commands, kube: Kube, story: Story) -> None:
        self.target: Final = target
        self.commands: Final = commands
        self.kube: Final = kube
        self.story: Final = story
        self.kubectl: Final = commands.kubectl

    async def install(self) -> None:
        """Moorline in `OPERATOR`, as its documentation says, unless it is there."""
        if not await self.is_installed():
            await self.restrict(OPERATOR)
            where = ("--namespace", OPERATOR)
            await self.commands.helm("install", RELEASE, _CHART, *where, *self.chart_values())
        await self.rolled_out(OPERATOR, RELEASE)

    async def is_installed(self) -> bool:
        found = await self.commands.helm("list", "--namespace", OPERATOR, "--short", "--all")
        return RELEASE in found.split()

    def chart_values(self) -> list[str]:
        """Arguments for Helm: none where the cluster knows the images by the chart's names."""
        if not self.target.registry:
            return []
        return [
            f"--set=image.repository={self.target.registry}/moorline-operator",
            f"--set=sidecar.image.repository={self.target.registry}/moorline-sidecar",
        ]

    async def restrict(self, namespace: str) -> None:
        """Have the namespace, and have it enforce the strictest profile of Pod Security."""
        try:
            await self.kubectl("create", "namespace", namespace)
        except CommandFailed as error:
            if "AlreadyExists" not in str(error):
                raise
        await self.kubectl("label", "namespace", namespace, RESTRICTED, "--overwrite")

    def manifest(self, name: str) -> list[dict[str, Any]]:
        """The objects of a file of e2e/app/manifests, with the images of this cluster."""
        text = (_MANIFESTS / f"{name}.yaml").read_text()
        objects: list[dict[str, Any]] = list(yaml.safe_load_all(text))
        for obj in objects:
            pod = obj.get("spec", {}).get("template", {}).get("spec", {})
            for container in pod.get("containers", ()):
                container["image"] = self.target.image(container["image"])
        return objects

    async def open_store(self, namespace: str) -> None:
        """A store that keeps its data, in a restricted namespace."""
        await self.restrict(namespace)
        await self.commands.apply(namespace, *self.manifest("store"))
        await self.rolled_out(namespace, "store")

    async def open_shop(self, namespace: str, *, replicas: int = REPLICAS) -> None:
        """The shop with its sessions, as e2e/app/manifests has them, ready for users."""
        await self.open_store(namespace)
        await self.commands.apply(namespace, *self.manifest("sessioncluster"))
        service, deployment = self.manifest("shop")
        deployment["spec"]["replicas"] = replicas
        await self.commands.apply(namespace, service, deployment)
        await self.rolled_out(namespace, "shop")
        await self.until_ready(namespace)

    async def until_ready(self, namespace: str, cluster: str = "shop") -> None:
        """Wait until the SessionCluster says that all is as wished."""
        await self.kubectl(
            *("--namespace", namespace, "wait", f"scl/{cluster}", "--for=condition=Ready"),
            f"--timeout={READY_SECONDS}s",
        )

    async def rolled_out(self, namespace: str, deployment: str, *, seconds: float = 180) -> None:
        """Wait until every pod of the Deployment is a new one, and ready, and the old are gone."""
        timeout = f"--timeout={seconds:.0f}s"
        await self.kubectl(
            "--namespace", namespace, "rollout", "status", f"deployment/{deployment}", timeout
        )

        async def are_old_gone() -> bool:
            pods = await everything(self.kube, PODS, namespace)
            return not any("deletionTimestamp" in pod["metadata"] for pod in pods)

        await eventually(are_old_gone, lambda: f"pods of {namespace} do not end", seconds)

    async def scale(self, namespace: str, deployment: str, replicas: int) -> None:
        await self.kubectl(
            *("--namespace", namespace, "scale", f"deployment/{deployment}"),
            f"--replicas={replicas}",
        )

    async def workers(self, namespace: str, cluster: str = "shop") -> dict[str, PodRecord]:
        """The live pods of a SessionCluster, by worker name; each has one.

        Raises:
            AssertionError: two live pods have the same name.
        """
        pods = await everything(self.kube, PODS, namespace, f"moorline.io/cluster={cluster}")
        records = [record for record in map(record_of, pods) if record.is_live]
        workers = {record.worker: record for record in records}
        assert len(workers) == len(records), f"names are not unique: {records}"
        return workers

    async def pods(self, namespace: str, labels: str = "app=shop") -> list[KubeObject]:
        """Those that are not ending."""
        found = await everything(self.kube, PODS, namespace, labels)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    async def new_session(self, namespace: str, pod: str) -> dict[str, Any] | None:
        """What the pod's sidecar makes when its application asks; None if it refuses."""
        try:
            answer = await self.kubectl(
                *("--namespace", namespace, "exec", pod, "--container=shop", "--"),
                *("/opt/app/bin/python3", "-c", _NEW_SESSION),
            )
        except CommandFailed:
            return None
        session: dict[str, Any] = json.loads(answer)
        return session

    def crowd(
        self, namespace: str, *, service: str = "shop", users: int = USERS
    ) -> AbstractAsyncContextManager[Crowd]:
        """Users of the shop, as long as it is open."""
        image = self.target.image(SHOP_IMAGE)
        return shopping(self.commands, self.story, namespace, image, service=service, users=users)

    @asynccontextmanager
    async def namespace(self, name: str) -> AsyncIterator[str]:
        """A restricted namespace for one scenario; it is deleted, which is not waited for."""
        await self.restrict(name)
        try:
            yield name
        finally:
            await self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def settings_of(members: dict[str, Any]) -> str:
    """A patch of a SessionCluster's spec, for `kubectl patch --type=merge --patch`."""
    return json.dumps({"spec": members})
