"""Makes the children of a SessionCluster what they should be; one that nobody touched is left."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Final, Protocol, TypeAlias

import msgspec

from moorline_operator.desired import Child, is_owned
from moorline_operator.errors import (
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NamespaceEnding,
    NotFound,
)
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import (
    CONFIG_MAPS,
    CRON_JOBS,
    NETWORK_POLICIES,
    POD_MONITORS,
    Kind,
)

KEPT: Final = (CONFIG_MAPS, CRON_JOBS, NETWORK_POLICIES, POD_MONITORS)
"""The kinds of children that are there as long as they are wanted. Jobs come and go."""

REMEMBERED: Final = 50_000
"""Children whose last write is remembered; one that is forgotten is written once more."""

_NO_POD_MONITORS: Final = (
    "this cluster has no PodMonitor: install the Prometheus operator, or write "
    "`monitoring: {podMonitor: false}`"
)

_Place: TypeAlias = tuple[Kind, str, str]


class Writer(Protocol):
    """What of the API server is needed here."""

    async def apply(self, kind: Kind, obj: KubeObject) -> KubeObject: ...

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "") -> None: ...


class Applier:
    """Applies children; remembers what it applied, so that only what differs is written again."""

    def __init__(self, kube: Writer) -> None:
        self._kube = kube
        self._applied: dict[_Place, tuple[str, str]] = {}

    async def apply(self, child: Child, there: KubeObject | None) -> KubeObject | None:
        """Write the child if either side changed since it was last written: as it then is.

        `there` is what was last seen of it.

        Raises:
            KubeError: it cannot be written.
        """
        place = _place(child.kind, child.obj)
        digest = _digest(child.obj)
        if there is not None and self._applied.get(place) == (digest, _version(there)):
            return None
        answer = await self._kube.apply(child.kind, child.obj)
        self._applied[place] = digest, _version(answer)
        if len(self._applied) > REMEMBERED:
            del self._applied[next(iter(self._applied))]
        return answer

    async def remove_others(
        self,
        owner_uid: str,
        wanted: Iterable[Child],
        seen: Mapping[tuple[Kind, str], KubeObject],
    ) -> None:
        """Delete the owner's children that are no longer wanted.

        Raises:
            KubeError: one cannot be deleted.
        """
        places = {_place(child.kind, child.obj) for child in wanted}
        for (kind, _), obj in tuple(seen.items()):
            if kind in KEPT and _place(kind, obj) not in places and is_owned(obj, owner_uid):
                await self.remove(kind, obj)

    async def remove(self, kind: Kind, obj: KubeObject) -> None:
        """Delete that very object, if it is still there.

        Raises:
            KubeError: it cannot be deleted.
        """
        self._applied.pop(_place(kind, obj), None)
        metadata = obj["metadata"]
        with suppress(NotFound, Conflict):
            await self._kube.delete(
                kind, metadata["namespace"], metadata["name"], uid=metadata["uid"]
            )


class Refusals:
    """What was refused in a way that a person has to do something about; `first` is told of."""

    def __init__(self) -> None:
        self.first: KubeError | None = None

    @contextmanager
    def of(self, kind: Kind) -> Iterator[None]:
        """Go on after the block though a write of that kind was refused in it."""
        try:
            yield
        except NamespaceEnding:
            raise
        except (Forbidden, Invalid, NotFound) as error:
            self.first = self.first or _explained(kind, error)


def _explained(kind: Kind, error: KubeError) -> KubeError:
    if kind is POD_MONITORS and isinstance(error, NotFound):
        return NotFound(error.action, _NO_POD_MONITORS)
    return error


def _place(kind: Kind, obj: KubeObject) -> _Place:
    return kind, obj["metadata"]["namespace"], obj["metadata"]["name"]


def _version(obj: KubeObject) -> str:
    version: str = obj["metadata"]["resourceVersion"]
    return version


def _digest(obj: KubeObject) -> str:
    return hashlib.sha256(msgspec.json.encode(obj, order="sorted")).hexdigest()
