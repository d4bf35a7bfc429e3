"""An API server in memory: atomic requests, resourceVersions, preconditions, watch events.

What takes time or goes wrong is the test's to say, before a request is applied and after.
"""

import copy
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jsonpatch
from jsonpointer import JsonPointerException
from moorline_operator.errors import AlreadyExists, Conflict, Invalid, NotFound
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import PODS, Kind

Place: TypeAlias = tuple[str, str, str]
"""Plural of the kind, namespace, name."""

Hook: TypeAlias = Callable[[str, Kind], Awaitable[None]]
"""Called with the verb and the kind; may wait, or raise what the caller is to get."""


async def undisturbed(_verb: str, _kind: Kind) -> None:
    """Nothing happens."""


class SimulatedApi:
    """`changed` is told "ADDED", "MODIFIED" or "DELETED" and the object, as soon as it is so."""

    def __init__(self) -> None:
        self.objects: dict[Place, KubeObject] = {}
        self.changed: list[Callable[[str, KubeObject], None]] = []
        self.before: Hook = undisturbed
        self.after: Hook = undisturbed
        self._version = 0

    def of(self, kind: Kind) -> list[KubeObject]:
        """Copies; `seen` gives the objects themselves, to be looked at only."""
        return copy.deepcopy(self.seen(kind))

    def seen(self, kind: Kind) -> list[KubeObject]:
        return [found for place, found in self.objects.items() if place[0] == kind.plural]

    async def get(self, kind: Kind, namespace: str, name: str) -> KubeObject:
        await self.before("get", kind)
        found = copy.deepcopy(self._found(kind, namespace, name))
        await self.after("get", kind)
        return found

    async def create(self, kind: Kind, obj: KubeObject) -> KubeObject:
        await self.before("create", kind)
        made = self.put(kind, obj)
        await self.after("create", kind)
        return made

    async def replace(self, kind: Kind, obj: KubeObject) -> KubeObject:
        await self.before("replace", kind)
        metadata = obj["metadata"]
        found = self._found(kind, metadata["namespace"], metadata["name"])
        if metadata["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise Conflict("replace", "it has changed")
        replaced = self._changed(kind, obj)
        await self.after("replace", kind)
        return replaced

    async def json_patch(
        self, kind: Kind, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> KubeObject:
        await self.before("patch", kind)
        found = self._found(kind, namespace, name)
        try:
            patched = jsonpatch.apply_patch(found, list(operations))
        except (jsonpatch.JsonPatchException, JsonPointerException) as error:
            raise Invalid("patch", str(error)) from error
        changed = self._changed(kind, patched)
        await self.after("patch", kind)
        return changed

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str = "", resource_version: str = ""
    ) -> None:
        await self.before("delete", kind)
        metadata = self._found(kind, namespace, name)["metadata"]
        if uid not in ("", metadata["uid"]):
            raise Conflict("delete", "it is another one")
        if resource_version not in ("", metadata["resourceVersion"]):
            raise Conflict("delete", "it has changed")
        self.remove(kind, namespace, name)
        await self.after("delete", kind)

    def put(self, kind: Kind, obj: KubeObject) -> KubeObject:
        """Create an object, at once."""
        metadata = obj["metadata"]
        if (kind.plural, metadata["namespace"], metadata["name"]) in self.objects:
            raise AlreadyExists("create", "it is there")
        uid = {"uid": f"uid {self._version}"}
        return self._changed(kind, {**obj, "metadata": {**uid, **metadata}}, "ADDED")

    def merge(self, kind: Kind, namespace: str, name: str, part: KubeObject) -> None:
        """Set members of an object, at once."""
        self._changed(kind, {**self._found(kind, namespace, name), **part})

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object, at once."""
        gone = self.objects.pop((kind.plural, namespace, name))
        self._tell("DELETED", gone)

    def collect_garbage(self) -> None:
        """Delete what no owner is left of."""
        uids = {found["metadata"]["uid"] for found in self.objects.values()}
        for (plural, namespace, name), found in list(self.objects.items()):
            owners = found["metadata"].get("ownerReferences", [])
            if plural != PODS.plural and owners and not any(it["uid"] in uids for it in owners):
                self._tell("DELETED", self.objects.pop((plural, namespace, name)))

    def _found(self, kind: Kind, namespace: str, name: str) -> KubeObject:
        try:
            return self.objects[kind.plural, namespace, name]
        except KeyError:
            raise NotFound("get", f"there is no {kind.plural} {namespace}/{name}") from None

    def _changed(self, kind: Kind, obj: KubeObject, event: str = "MODIFIED") -> KubeObject:
        self._version += 1
        metadata = obj["metadata"]
        place = kind.plural, metadata["namespace"], metadata["name"]
        before = self.objects.get(place, obj)["metadata"]
        kept = {"resourceVersion": str(self._version), "uid": before["uid"]}
        written = copy.deepcopy({**obj, "metadata": {**metadata, **kept}})
        self.objects[place] = written
        self._tell(event, written)
        return copy.deepcopy(written)

    def _tell(self, event: str, obj: KubeObject) -> None:
        for tell in tuple(self.changed):
            tell(event, copy.deepcopy(obj))
