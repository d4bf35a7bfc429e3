"""A namespace as scenarios use it: the shop in it, or the operator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import yaml
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import EVENTS, PODS
from moorline_operator.pods import record_of

from e2e.suite.access import Access
from e2e.suite.commands import PATIENCE_SECONDS, ROOT, CommandFailed
from e2e.suite.pods import PYTHON, restarts_of
from e2e.suite.story import Story
from tests.operator.watching import condition, eventually, everything
from tests.operator.workloads import DEPLOYMENTS

SHOP: Final = "shop"
"""What e2e/app/manifests calls everything; the namespace that most scenarios share, too."""
STORE: Final = "store"
SHOP_IMAGE: Final = "moorline.test/shop:1"
REPLICAS: Final = 3
RESTRICTED: Final = "pod-security.kubernetes.io/enforce=restricted"
SETTLED_SECONDS: Final = 300.0
"""A rollout of the shop takes half a minute on two idle cores."""
TOLD_SECONDS: Final = 180.0
"""The operator knows of most things at once, and of a backend from a pod that has to run first."""

_MANIFESTS: Final = ROOT / "e2e" / "app" / "manifests"
_NEW_SESSION: Final = """
import os, urllib.request
request = urllib.request.Request(os.environ["MOORLINE_URL"] + "/v1/sessions", method="POST")
print(urllib.request.urlopen(request).read().decode())
"""


class Namespace:
    """What a person with all rights does in one namespace."""

    def __init__(self, access: Access, name: str) -> None:
        self.access: Final = access
        self.name: Final = name

    @property
    def story(self) -> Story:
        return self.access.story

    async def kubectl(self, *arguments: str, seconds: float = PATIENCE_SECONDS) -> str:
        """Raises as `Commands.run`."""
        where = ("--namespace", self.name)
        return await self.access.commands.kubectl(*where, *arguments, seconds=seconds)

    async def apply(self, *objects: Mapping[str, Any]) -> None:
        await self.access.commands.apply(self.name, *objects)

    async def restrict(self, profile: str = RESTRICTED) -> None:
        """Have the namespace, and have it enforce a profile of Pod Security: a label."""
        try:
            await self.kubectl("create", "namespace", self.name)
        except CommandFailed as error:
            if "AlreadyExists" not in str(error):
                raise
        await self.kubectl("label", "namespace", self.name, profile, "--overwrite")

    async def delete(self, *, waits: bool = True) -> None:
        """Delete it with all that is in it, if it is there."""
        wait = f"--wait={str(waits).lower()}"
        await self.kubectl("delete", "namespace", self.name, "--ignore-not-found", wait)

    def manifest(self, name: str) -> list[dict[str, Any]]:
        """The objects of a file of e2e/app/manifests, with the images of this cluster."""
        text = (_MANIFESTS / f"{name}.yaml").read_text()
        objects: list[dict[str, Any]] = list(yaml.safe_load_all(text))
        for obj in objects:
            pod = obj.get("spec", {}).get("template", {}).get("spec", {})
            for container in pod.get("containers", ()):
                container["image"] = self.access.target.image(container["image"])
        return objects

    async def open_store(self) -> None:
        """A store that keeps its data, in a namespace that is restricted by now."""
        await self.restrict()
        await self.apply(*self.manifest("store"))
        await self.rolled_out(STORE)

    async def open_shop(self) -> None:
        """The shop as e2e/app/manifests has it, whatever became of it before, ready for users."""
        await self.open_store()
        await self.apply(*self.manifest("sessioncluster"), *self.manifest("shop"))
        await self.rolled_out()
        await self.until_ready()

    async def scale(self, replicas: int, deployment: str = SHOP) -> None:
        await self.kubectl("scale", f"deployment/{deployment}", f"--replicas={replicas}")

    async def restart(self) -> None:
        """Have every pod of the shop replaced; that it is done is not waited for."""
        await self.kubectl("rollout", "restart", f"deployment/{SHOP}")

    async def rolled_out(self, deployment: str = SHOP, *, seconds: float = SETTLED_SECONDS) -> None:
        """Wait until the Deployment has settled, and no pod of the namespace is ending."""
        found: KubeObject = {}
        ending: list[str] = []

        async def is_over() -> bool:
            found.update(await self.access.kube.get(DEPLOYMENTS, self.name, deployment))
            pods = await everything(self.access.kube, PODS, self.name)
            ending[:] = [pod["metadata"]["name"] for pod in pods if _is_ending(pod)]
            return has_settled(found) and not ending

        def what() -> str:
            status = json.dumps(found.get("status"))
            return f"deployment/{deployment} does not settle: {status}, ending: {ending}"

        await eventually(is_over, what, seconds)

    async def until_ready(self, cluster: str = SHOP, *, seconds: float = TOLD_SECONDS) -> None:
        """Wait until the SessionCluster says that all is as wished."""
        await self.kubectl(
            *("wait", f"scl/{cluster}", "--for=condition=Ready", f"--timeout={seconds:.0f}s"),
            seconds=seconds + PATIENCE_SECONDS,
        )

    async def until_told(self, kind: str, reason: str) -> str:
        """What the condition of the SessionCluster says once it has the reason."""
        found: dict[str, str] = {}

        async def is_told() -> bool:
            found.update(await condition(self.access.kube, self.name, SHOP, kind))
            return found.get("reason") == reason

        await eventually(is_told, lambda: f"{kind} should be {reason}: {found}", TOLD_SECONDS)
        return found["message"]

    async def patch(self, members: dict[str, Any]) -> None:
        """Merge into the spec of the SessionCluster (RFC 7396: null takes a member away)."""
        patch = json.dumps({"spec": members})
        await self.kubectl("patch", "scl", SHOP, "--type=merge", "--patch", patch)

    async def pods(self, labels: str = f"app={SHOP}") -> list[KubeObject]:
        """Those that are not ending."""
        found = await everything(self.access.kube, PODS, self.name, labels)
        return [pod for pod in found if not _is_ending(pod)]

    async def pod_names(self) -> set[str]:
        return {pod["metadata"]["name"] for pod in await self.pods()}

    async def restarts(self) -> dict[str, int]:
        """The pods of the shop, and how often containers of each have been started anew."""
        return {pod["metadata"]["name"]: restarts_of(pod) for pod in await self.pods()}

    async def workers(self) -> dict[str, str]:
        """The live pods of the SessionCluster, their UIDs by worker name.

        Raises:
            AssertionError: two have the same name, or one has none.
        """
        pods = await everything(self.access.kube, PODS, self.name, f"moorline.io/cluster={SHOP}")
        records = [record for record in map(record_of, pods) if record.is_live]
        workers = {record.worker: record.uid for record in records}
        assert len(workers) == len(records), f"names are not unique: {records}"
        assert "" not in workers, f"one has no name: {records}"
        return workers

    async def refusals(self) -> set[tuple[str, str]]:
        """Events that tell of a pod that could not be made.

        One is written anew whenever the same happens again, so that it is another one here.
        """
        events = await everything(self.access.kube, EVENTS, self.name)
        return {
            (event["metadata"]["name"], event["metadata"]["resourceVersion"])
            for event in events
            if event.get("reason") == "FailedCreate"
        }

    async def new_session(self, pod: str) -> dict[str, Any] | None:
        """What the pod's sidecar makes when its application asks; None if it refuses."""
        command = (PYTHON, "-c", _NEW_SESSION)
        try:
            answer = await self.kubectl("exec", pod, f"--container={SHOP}", "--", *command)
        except CommandFailed:
            return None
        session: dict[str, Any] = json.loads(answer)
        return session


def has_settled(deployment: KubeObject) -> bool:
    """Whether it has as many pods as it should, all of the newest kind and available.

    `kubectl rollout status` is content with too many: it says so when it is scaled down, too.
    """
    wanted = deployment["spec"]["replicas"]
    status = deployment.get("status", {})
    is_seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    return is_seen and all(status.get(count, 0) == wanted for count in counts)


def _is_ending(pod: KubeObject) -> bool:
    return "deletionTimestamp" in pod["metadata"]
