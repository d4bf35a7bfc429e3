"""A webhook in the test's own process, called by a real API server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import pytest
from moorline_operator import naming
from moorline_operator.certificates import (
    ServingCertificate,
    handshake_fault,
    keep_certificates,
    published_bundle,
)
from moorline_operator.cluster import Cluster
from moorline_operator.errors import KubeError
from moorline_operator.kube.api import Kube, KubeObject
from moorline_operator.kube.kinds import MUTATING_WEBHOOKS, SECRETS, Kind
from moorline_operator.kube.reflector import Reflector
from moorline_operator.settings import CertificateSettings, WebhookSettings, seconds
from moorline_operator.webhook import Listener, Lookup, Webhook

from tests.operator.addresses import own_address
from tests.operator.injection.samples import SETTINGS, a_cluster

SERVICES: Final = Kind("v1", "Service", "services")
ENDPOINT_SLICES: Final = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
WEBHOOK: Final = "inject.moorline.io"
_EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - the API server cannot be led to the loopback
DEADLINE_SECONDS: Final = 90.0


class Known:
    """SessionClusters that a test makes known, or only there for who looks them up."""

    def __init__(self, *clusters: Cluster) -> None:
        self.watched = {cluster.key: cluster for cluster in clusters}
        self.live: dict[tuple[str, str], Cluster] = {}
        self.looked = asyncio.Event()

    def known(self, namespace: str, name: str) -> Cluster | None:
        return self.watched.get((namespace, name))

    async def look_up(self, namespace: str, name: str) -> Cluster | None:
        self.looked.set()
        return self.live.get((namespace, name))


class Admission:
    """Pods that are made in `namespace` go through the webhook."""

    def __init__(self, kube: Kube, namespace: str, certificates: CertificateSettings) -> None:
        self.kube = kube
        self.namespace = namespace
        self.clusters = Known(a_cluster(namespace))
        self.answers: list[tuple[str, float]] = []
        """The webhook's results, each with the seconds it took."""
        self.settings = WebhookSettings(configuration=f"moorline-{namespace}", lookup="3s")
        self._certificates = certificates
        self.certificate = ServingCertificate()
        webhook = Webhook(
            Lookup(self.clusters, seconds(self.settings.lookup)),
            SETTINGS,
            lambda result, took: self.answers.append((result, took)),
        )
        self.listener = Listener(webhook.application(), self.certificate.context, _EVERY_ADDRESS, 0)

    def changed(self, secret: KubeObject) -> None:
        self.certificate.update(secret)

    def removed(self, secret: KubeObject) -> None: ...

    def listed(self, namespace: str, uids: frozenset[str]) -> None: ...

    async def fault(self, bundle: str) -> str | None:
        """Why a handshake through the bundle fails."""
        name = f"{self.settings.service}.{self.namespace}.svc"
        return await handshake_fault(bundle, name, self.listener.port)

    async def configuration(self) -> KubeObject:
        return await self.kube.get(MUTATING_WEBHOOKS, "", self.settings.configuration)

    async def secret(self) -> KubeObject:
        return await self.kube.get(SECRETS, self.namespace, self.settings.secret)

    async def run(self) -> None:
        """The leader's part and a replica's, with times that a test can wait for."""
        reflector = Reflector(
            self.kube,
            SECRETS,
            self,
            namespace=self.namespace,
            fields=f"metadata.name={self.settings.secret}",
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reflector.run())
            tasks.create_task(
                keep_certificates(
                    self.kube,
                    self.namespace,
                    self.settings,
                    self._certificates,
                    self._is_trusted,
                    period=0.1,
                )
            )

    async def _is_trusted(self, bundle: str) -> bool:
        return await self.fault(bundle) is None

    async def until_trusted(self) -> None:
        """Wait until the API server can talk to the webhook."""

        async def is_trusted() -> bool:
            bundle = published_bundle(await self.configuration())
            return bool(bundle) and await self._is_trusted(bundle) and await self._is_called()

        await until(is_trusted)

    async def _is_called(self) -> bool:
        """Whether the API server has the configuration at work; it takes it a moment."""
        before = len(self.answers)
        try:
            await self.kube.create(Kind("v1", "Pod", "pods"), a_labelled_pod(self.namespace))
        except KubeError:
            return False
        return len(self.answers) > before


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until it holds.

    Raises:
        TimeoutError: it does not within `DEADLINE_SECONDS`.
    """
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.05)


def a_labelled_pod(namespace: str, **spec: Any) -> KubeObject:  # noqa: ANN401 - any pod
    """A pod of the cluster `shop`, without a name of its own."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "web-",
            "namespace": namespace,
            "labels": {naming.CLUSTER: "shop"},
        },
        "spec": {"containers": [{"name": "app", "image": "app"}], **spec},
    }


@asynccontextmanager
async def admission(
    kube: Kube, namespace: str, certificates: CertificateSettings
) -> AsyncIterator[Admission]:
    """The webhook at work for one namespace, through what the chart would have rendered."""
    found = Admission(kube, namespace, certificates)
    async with found.listener:
        for kind, obj in _rendered(found):
            await kube.create(kind, obj)
        running = asyncio.create_task(found.run())
        try:
            await found.until_trusted()
            yield found
            assert not running.done(), running.exception()
        finally:
            running.cancel()
            await asyncio.wait({running})
            await kube.delete(MUTATING_WEBHOOKS, "", found.settings.configuration)


def _rendered(admission: Admission) -> list[tuple[Kind, KubeObject]]:
    """What leads the API server to the listener, and the Secret, empty."""
    namespace, settings = admission.namespace, admission.settings
    metadata = partial(dict[str, Any], namespace=namespace)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name=settings.service),
        "spec": {"ports": [{"name": "webhook", "port": 443}]},
    }
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(
            name=settings.service, labels={"kubernetes.io/service-name": settings.service}
        ),
        "addressType": "IPv4",
        "ports": [{"name": "webhook", "port": admission.listener.port}],
        "endpoints": [{"addresses": [own_address()], "conditions": {"ready": True}}],
    }
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name=settings.secret)}
    return [
        (SECRETS, secret),
        (SERVICES, service),
        (ENDPOINT_SLICES, endpoints),
        (MUTATING_WEBHOOKS, _configuration(admission)),
    ]


def _configuration(admission: Admission) -> KubeObject:
    namespace, settings = admission.namespace, admission.settings
    return {
        "apiVersion": MUTATING_WEBHOOKS.api_version,
        "kind": MUTATING_WEBHOOKS.name,
        "metadata": {"name": settings.configuration},
        "webhooks": [
            {
                "name": WEBHOOK,
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "service": {
                        "name": settings.service,
                        "namespace": namespace,
                        "path": "/inject",
                        "port": 443,
                    }
                },
                "failurePolicy": "Fail",
                "matchPolicy": "Equivalent",
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": namespace},
                },
                "objectSelector": {
                    "matchExpressions": [{"key": naming.CLUSTER, "operator": "Exists"}],
                },
                "reinvocationPolicy": "IfNeeded",
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                        "scope": "Namespaced",
                    }
                ],
                "sideEffects": "None",
                "timeoutSeconds": 5,
            }
        ],
    }


def skip_unless_local(*, is_local: bool) -> None:
    if not is_local:
        pytest.skip("the API server of KUBECONFIG cannot call this machine")
