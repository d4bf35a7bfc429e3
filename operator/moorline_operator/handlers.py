"""kopf's part: watching SessionClusters and their children.

kopf runs in a thread and event loop of its own, because it takes the process's SIGTERM where it
runs in the main thread. Its handlers only hand on what they see; what follows from that is
decided elsewhere, level-triggered. No handler that would make kopf write: neither annotations
nor finalizers.
"""

import asyncio
import logging
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

import kopf

from moorline_operator import naming
from moorline_operator.kube.api import KubeObject
from moorline_operator.kube.kinds import (
    CONFIG_MAPS,
    CRON_JOBS,
    JOBS,
    LEASES,
    NETWORK_POLICIES,
    SESSION_CLUSTERS,
    Kind,
)

CHILD_KINDS: Final = (CONFIG_MAPS, CRON_JOBS, JOBS, NETWORK_POLICIES)

# Of a type that kopf does not export.
_IDENTITY: Final[Any] = naming.MANAGER

Seen: TypeAlias = Callable[[Kind, KubeObject, str | None], None]
"""Told, in the caller's event loop, of an object of a kind and what has happened to it.

That is "ADDED", "MODIFIED", "DELETED", or None where kopf has listed it. It lists anew after it
has missed something, and does not tell of what was deleted meanwhile.
"""


class Connection(kopf.ConnectionInfo):
    """A connection that accepts what the API server's certificate does not have to have.

    Python 3.13 wants extensions that those of many clusters do not have. Chain and name are
    verified as ever.
    """

    def as_ssl_context(self) -> ssl.SSLContext:
        context = super().as_ssl_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


class NothingCompared(kopf.DiffBaseStorage):
    """Keeps nothing of an object to tell by what has changed of it: that is not asked for.

    kopf's own copies each object, deeply and more than once, whenever it is seen.
    """

    def build(
        self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None
    ) -> kopf.BodyEssence:
        del body, extra_fields
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        del body
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Never."""


class Watching:
    """kopf, watching for `seen` until `run` is cancelled.

    `kinds` are those of children. `lease` is the name of the leader's own Lease, or "" where kopf
    may not see it: it is renewed every few seconds, so watching it as well proves that kopf is not
    deaf.
    """

    def __init__(
        self,
        seen: Seen,
        *,
        namespaces: Sequence[str],
        lease: str,
        kinds: Sequence[Kind],
    ) -> None:
        self._seen = seen
        self._namespaces = tuple(namespaces)
        self._lease = lease
        self._kinds = tuple(kinds)

    async def run(self) -> None:
        """Watch until cancelled.

        Raises:
            RuntimeError: kopf ended by itself, which it never should.
        """
        ours = asyncio.get_running_loop()
        ended = asyncio.Event()
        stop = threading.Event()
        failures: list[BaseException] = []

        def hand_on(kind: Kind, obj: KubeObject, event: str | None) -> None:
            if not stop.is_set():
                ours.call_soon_threadsafe(self._seen, kind, obj, event)

        def work() -> None:
            try:
                asyncio.run(self._operate(hand_on, stop))
            except BaseException as error:  # noqa: BLE001 - handed on to who waits
                failures.append(error)
            finally:
                with suppress(RuntimeError):  # our loop has ended before
                    ours.call_soon_threadsafe(ended.set)

        threading.Thread(target=work, name="kopf", daemon=True).start()
        try:
            await ended.wait()
            raise RuntimeError("kopf has ended by itself") from next(iter(failures), None)
        finally:
            # Not waited for: it writes nothing, and the Lease is given back the sooner.
            stop.set()

    async def _operate(self, hand_on: Callable[..., None], stop: threading.Event) -> None:
        # It would warn that it leaves our signals alone.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
        await kopf.operator(
            registry=self._registry(hand_on),
            settings=self._settings(),
            # By itself it would look up the user that runs it, and in a container there is none.
            identity=_IDENTITY,
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=stop,
        )

    def _registry(self, hand_on: Callable[..., None]) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        def login(**kwargs: Any) -> Connection | None:  # noqa: ANN401 - kopf's own
            found = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(
                **kwargs
            )
            return None if found is None else Connection(**vars(found))

        for kind in (SESSION_CLUSTERS, *self._kinds, *((LEASES,) if self._lease else ())):
            _watch(registry, kind, hand_on)
        return registry

    def _settings(self) -> kopf.OperatorSettings:
        settings = kopf.OperatorSettings()
        # What is watched is known: no looking around for kinds and namespaces, no Events.
        settings.scanning.disabled = True
        settings.posting.enabled = False
        settings.persistence.diffbase_storage = NothingCompared()
        settings.watching.chunk_size = 500
        for kind in self._kinds:
            settings.watching.label_selectors[kind.plural] = naming.CHILDREN
        settings.watching.field_selectors[LEASES.plural] = f"metadata.name={self._lease}"
        return settings


def _watch(registry: kopf.OperatorRegistry, kind: Kind, hand_on: Callable[..., None]) -> None:
    group, _, version = kind.api_version.rpartition("/")

    # Asynchronous though it never waits: kopf gives each call of another one to a thread, of
    # which there would be dozens that keep the leader from its own work.
    @kopf.on.event(group, version, kind.plural, registry=registry)
    async def see(event: kopf.RawEvent, **_: object) -> None:
        hand_on(kind, dict(event["object"]), event["type"])
