"""One replica of the operator: the webhook in each of them, everything else in the leader."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Final

import structlog
from aiohttp import web

from moorline_operator.certificates import (
    ServingCertificate,
    handshake_fault,
    keep_certificates,
    published_bundle,
)
from moorline_operator.clusters import Clusters
from moorline_operator.election import Elector, new_identity, terms
from moorline_operator.errors import KubeError
from moorline_operator.health import health_application
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import MUTATING_WEBHOOKS, SECRETS, SESSION_CLUSTERS
from moorline_operator.kube.reflector import Reflector
from moorline_operator.leading import Leader
from moorline_operator.settings import Identity, Settings, seconds
from moorline_operator.telemetry import Telemetry, Values
from moorline_operator.webhook import Listener, Webhook
from moorline_operator.webhook.lookup import Lookup

PROOF_SECONDS: Final = 5.0
"""How often a replica proves to itself that the API server can trust it."""

DEAF_SECONDS: Final = 300.0
"""A watch that heard nothing for so long is deaf: bookmarks come every minute."""

_log = structlog.get_logger()


def watches_of(settings: Settings) -> int:
    """How many a leader has: of SessionClusters and pods in each namespace, of the Secret."""
    return 2 * max(len(settings.watch_namespaces), 1) + 1


class Replica:
    """A replica; `run` is its life."""

    def __init__(self, kube: Kube, settings: Settings, identity: Identity) -> None:
        self._kube = kube
        self._settings = settings
        self._identity = identity
        self._telemetry = Telemetry()
        self._certificate = ServingCertificate()
        self._clusters = Clusters(kube)
        self._cluster_reflectors = [
            Reflector(kube, SESSION_CLUSTERS, self._clusters, namespace=namespace)
            for namespace in settings.watch_namespaces or ("",)
        ]
        self._secret_reflector = Reflector(
            kube,
            SECRETS,
            _Certificates(self._certificate),
            namespace=identity.namespace,
            fields=f"metadata.name={settings.webhook.secret}",
        )
        lookup = Lookup(self._clusters, seconds(settings.webhook.lookup))
        webhook = Webhook(lookup, settings.injection, self._telemetry.admitted)
        self._listener = Listener(
            webhook.application(),
            self._certificate.context,
            settings.webhook.host,
            settings.webhook.port,
        )
        self._elector = Elector(
            kube, terms(settings.election, identity.namespace), new_identity(identity.pod)
        )
        self._leader: Leader | None = None
        self._fault: str | None = "the certificate was not proven yet"

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, then give leadership back at once and drain the webhook.

        Raises:
            LeadershipLost: another replica may lead; this one served on until it was drained.
            ExceptionGroup: of what any other part raised.
        """
        self._show()
        async with self._listener, self._health(), self._background():
            leading = asyncio.create_task(self._elector.run(self._lead))
            stopping = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                leading.cancel()
                stopping.cancel()
            _log.info("stopping", drain_seconds=seconds(self._settings.webhook.drain))
            await self._listener.drain(seconds(self._settings.webhook.drain))
            with suppress(asyncio.CancelledError):
                await leading

    @asynccontextmanager
    async def _background(self) -> AsyncIterator[None]:
        """What goes on from the first moment to the last."""
        async with asyncio.TaskGroup() as tasks:
            reflectors = (*self._cluster_reflectors, self._secret_reflector)
            running = [tasks.create_task(reflector.run()) for reflector in reflectors]
            running.append(tasks.create_task(self._prove()))
            try:
                yield
            finally:
                for task in running:
                    task.cancel()

    async def _lead(self) -> None:
        kube = self._kube.guarded(self._elector.guard)
        self._leader = Leader(kube, self._settings, self._identity, self._telemetry)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._leader.run())
                tasks.create_task(
                    keep_certificates(
                        kube,
                        self._identity.namespace,
                        self._settings.webhook,
                        self._settings.certificates,
                        self._is_trusted,
                    )
                )
        finally:
            self._leader = None

    async def _prove(self) -> None:
        """Find out over and over whether the API server can talk to this replica."""
        while True:
            try:
                configuration = await self._kube.get(
                    MUTATING_WEBHOOKS, "", self._settings.webhook.configuration
                )
            except KubeError as error:
                # Not our fault, and no reason to stop serving.
                if self._fault is not None:
                    self._fault = str(error)
            else:
                self._fault = await self._fault_with(published_bundle(configuration))
            await asyncio.sleep(PROOF_SECONDS if self._fault is None else 0.5)

    async def _is_trusted(self, bundle: str) -> bool:
        return await self._fault_with(bundle) is None

    async def _fault_with(self, bundle: str) -> str | None:
        if not bundle:
            return "the leader has not published the certificate authority yet"
        name = f"{self._settings.webhook.service}.{self._identity.namespace}.svc"
        return await handshake_fault(bundle, name, self._listener.port)

    @asynccontextmanager
    async def _health(self) -> AsyncIterator[None]:
        application = health_application(
            alive={"watches": self._deafness},
            ready={
                "webhook": lambda: "draining" if self._listener.is_draining else self._fault,
                "clusters": self._ignorance,
            },
            exposition=self._telemetry.exposition,
        )
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            host = self._settings.health_host or None
            await web.TCPSite(runner, host, self._settings.health_port).start()
            yield
        finally:
            await runner.cleanup()
            self._telemetry.close()

    def _deafness(self) -> str | None:
        deaf = sorted({watch for watch, silence in self._silences() if silence > DEAF_SECONDS})
        return f"nothing heard for {DEAF_SECONDS:.0f} s of: {', '.join(deaf)}" if deaf else None

    def _ignorance(self) -> str | None:
        if all(reflector.is_synced for reflector in self._cluster_reflectors):
            return None
        return "the SessionClusters were not listed yet"

    def _silences(self) -> Iterator[tuple[str, float]]:
        yield "secret", self._secret_reflector.silence_seconds
        for reflector in self._cluster_reflectors:
            yield "sessionclusters", reflector.silence_seconds
        if self._leader is not None:
            yield from self._leader.silences()

    def _show(self) -> None:
        telemetry = self._telemetry
        telemetry.show_leader(lambda: [(int(self._elector.is_leading()), {})])
        telemetry.show_clusters(lambda: [(len(self._clusters), {})])
        telemetry.show_watches(
            lambda: [(silence, {"watch": watch}) for watch, silence in self._silences()]
        )
        telemetry.show_workers(lambda: () if self._leader is None else self._leader.workers())
        telemetry.show_queue(lambda: () if self._leader is None else self._leader.queue())
        telemetry.show_certificate(self._remaining)

    def _remaining(self) -> Values:
        ends = self._certificate.ends
        return () if ends is None else [((ends - datetime.now(UTC)).total_seconds(), {})]


class _Certificates:
    """Sink of the watch of the one Secret."""

    def __init__(self, certificate: ServingCertificate) -> None:
        self._certificate = certificate

    def changed(self, obj: KubeObject) -> None:
        self._certificate.update(obj)

    def removed(self, obj: KubeObject) -> None:
        """Serve on with what there was."""

    def listed(self, namespace: str, uids: frozenset[str]) -> None:
        """As `removed`."""
