"""A real API server with its etcd, and without nodes and controllers, for the rows of the operator.

Nothing runs a pod, and nothing is written but by the load and by the operator.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

import yaml
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from moorline_operator.errors import AlreadyExists, NotFound
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import SESSION_CLUSTERS, Kind
from msgspec import Struct

from bench.errors import ProgramNotBuilt
from bench.polling import until
from bench.settings import Settings
from e2e.cluster.build import CLUSTER, Program, cached
from e2e.cluster.control_plane import LocalControlPlane

NAMESPACES: Final = Kind("v1", "Namespace", "namespaces")
ACCOUNTS: Final = Kind("v1", "ServiceAccount", "serviceaccounts")
DEFINITIONS: Final = Kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions"
)
CONNECTIONS: Final = 128

_DEFINITION: Final = Path(__file__).parents[1] / "crds" / "moorline.io_sessionclusters.yaml"


class Cluster(Struct, frozen=True):
    """What runs: its address, the authority that verifies it, and an administrator's kubeconfig."""

    url: str
    ca: Path
    kubeconfig: Path
    audit_log: Path


@contextlib.contextmanager
def cluster(settings: Settings) -> Iterator[Cluster]:
    """A new one, ready; its data are gone afterwards.

    It may use both cores, as a control plane is given what it needs: each write takes it some ten
    times the time that the operator takes to ask for it.

    Raises:
        ProgramNotBuilt: see there.
    """
    folder = settings.folder / f"cluster-{os.urandom(4).hex()}"
    folder.mkdir()
    plane = LocalControlPlane(built(CLUSTER), folder)
    ours = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {settings.cores.load, settings.cores.server})
        try:
            plane.etcd.start()
            plane.start_api_server()
        finally:
            os.sched_setaffinity(0, ours)
        yield Cluster(plane.url, plane.ca, plane.kubeconfig, plane.audit_log)
    finally:
        plane.stop()


def built(program: Program) -> Path:
    """Where the program is.

    Raises:
        ProgramNotBuilt: nowhere.
    """
    path = cached(program)
    if not path.exists():
        raise ProgramNotBuilt(program.name)
    return path


@contextlib.asynccontextmanager
async def administrator(kubeconfig: Path) -> AsyncIterator[Kube]:
    """The operator's client, which writes plain JSON over connections that are kept."""
    configuration = Configuration()
    configuration.retries = None
    configuration.connection_pool_maxsize = CONNECTIONS
    configuration.disable_strict_ssl_verification = True
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        str(kubeconfig), client_configuration=configuration
    )
    async with ApiClient(configuration) as client:
        yield Kube(client)


async def define(kube: Kube) -> None:
    """Make the API server know SessionClusters."""
    definition = yaml.safe_load(_DEFINITION.read_text(encoding="utf-8"))
    await kube.apply(DEFINITIONS, definition)

    async def is_served() -> bool:
        try:
            async for _ in kube.pages(SESSION_CLUSTERS, limit=1):
                return True
        except NotFound:
            return False
        return False

    await until(is_served, "the API server does not know SessionClusters")


async def make_namespace(kube: Kube, name: str) -> None:
    """One in which pods can be made: without controllers nobody else makes its account."""
    with contextlib.suppress(AlreadyExists):
        await kube.create(NAMESPACES, _named(NAMESPACES, {"name": name}))
    account = {"name": "default", "namespace": name}
    with contextlib.suppress(AlreadyExists):
        await kube.create(ACCOUNTS, _named(ACCOUNTS, account))


def _named(kind: Kind, metadata: dict[str, str]) -> dict[str, object]:
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
