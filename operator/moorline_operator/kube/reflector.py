"""A local picture of a collection that the API server has: one list, then a watch, for ever.

As client-go's reflector does it. What arrives goes to a sink; what is kept of it is the sink's.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any, Final, Protocol

import structlog

from moorline_operator.errors import Expired, KubeError
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import Kind

_log = structlog.get_logger()

FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0


class Sink(Protocol):
    """Takes what a reflector sees; its methods do not wait."""

    def changed(self, obj: KubeObject) -> None:
        """The object is new, or is now so."""

    def removed(self, obj: KubeObject) -> None:
        """The object is gone; this is the last that was seen of it."""

    def listed(self, namespace: str, uids: frozenset[str]) -> None:
        """The whole list of a namespace ("": of all) went through `changed`.

        What is known there and not in it is gone. Other reflectors may feed the same sink.
        """


class Reflector:
    """Watches one collection in one namespace, or in all.

    `is_synced` once the sink has seen a whole list; `silence_seconds` is how long nothing at all
    has been heard, not even that nothing happened.
    """

    def __init__(  # noqa: PLR0913 - the last five choose what is watched, and by which clock
        self,
        kube: Kube,
        kind: Kind,
        sink: Sink,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        shape: Any = KubeObject,  # noqa: ANN401 - as `Kube.pages` takes it
        now: Callable[[], float] = monotonic,
    ) -> None:
        self._kube = kube
        self._kind = kind
        self._sink = sink
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._shape = shape
        self._now = now
        self._heard = now()
        self._synced = asyncio.Event()

    @property
    def is_synced(self) -> bool:
        return self._synced.is_set()

    @property
    def silence_seconds(self) -> float:
        return self._now() - self._heard

    async def synced(self) -> None:
        await self._synced.wait()

    async def run(self) -> None:
        """List and watch until cancelled; trouble with the API server is waited out."""
        version, pause = "", FIRST_PAUSE_SECONDS
        while True:
            begun = self._now()
            try:
                version = version or await self._list()
                async for passed in self._watched(version):
                    version, pause = passed, FIRST_PAUSE_SECONDS
            except Expired:
                version = ""
            except KubeError as error:
                _log.warning("watch interrupted", kind=self._kind.plural, reason=error.detail)
            if self._now() - begun < LONGEST_PAUSE_SECONDS:
                # Many reflectors lose the same API server at once, and must not return as one.
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _list(self) -> str:
        seen: set[str] = set()
        version = ""
        async for page in self._kube.pages(
            self._kind,
            self._namespace,
            labels=self._labels,
            fields=self._fields,
            shape=self._shape,
        ):
            version = page["metadata"]["resourceVersion"]
            for obj in page["items"]:
                seen.add(obj["metadata"]["uid"])
                self._sink.changed(obj)
            self._heard = self._now()
        self._sink.listed(self._namespace, frozenset(seen))
        self._synced.set()
        return version

    async def _watched(self, since: str) -> AsyncIterator[str]:
        """The resourceVersion of each event, once the sink has it."""
        async for event in self._kube.watch(
            self._kind,
            self._namespace,
            labels=self._labels,
            fields=self._fields,
            since=since,
            shape=self._shape,
        ):
            self._heard = self._now()
            obj = event["object"]
            if event["type"] == "DELETED":
                self._sink.removed(obj)
            elif event["type"] != "BOOKMARK":
                self._sink.changed(obj)
            yield obj["metadata"]["resourceVersion"]
