"""The operator as the chart installs it, with one replica as a process on the core of servers.

There is no kubelet: what one would do for the operator's pod is done here. Settings, account,
permissions, admission policies and webhook are the chart's.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from moorline_operator.kube.api import Kube
from moorline_operator.kube.kinds import LEASES, MUTATING_WEBHOOKS, Kind
from moorline_operator.settings import InjectionSettings
from msgspec import Struct

from bench.cluster import ACCOUNTS, Cluster, built
from bench.errors import BenchError
from bench.polling import until
from bench.processes import is_ready, running, wait_until
from bench.settings import Settings
from e2e.cluster.build import HELM
from e2e.cluster.control_plane import write_kubeconfig
from e2e.ports import free_port

NAME: Final = "moorline"
NAMESPACE: Final = "moorline-system"
CHART: Final = Path(__file__).parents[1] / "charts" / "moorline"
HELM_SECONDS: Final = 100.0
TOKEN_SECONDS: Final = 3600

SLICES: Final = Kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")


class Release(Struct, frozen=True):
    """What the chart left: the operator's settings, and a kubeconfig of its account."""

    settings: dict[str, Any]
    kubeconfig: Path
    account: str

    @property
    def user(self) -> str:
        """As the audit log calls it."""
        return f"system:serviceaccount:{NAMESPACE}:{self.account}"

    @property
    def server_name(self) -> str:
        """What the webhook's certificate is for."""
        return f"{self.settings['webhook']['service']}.{NAMESPACE}.svc"


class Operator(Struct, frozen=True):
    """A running replica."""

    process: subprocess.Popen[bytes]
    port: int
    health_port: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid


async def install(settings: Settings, cluster: Cluster, kube: Kube) -> Release:
    """Install the chart with its default values; SessionClusters are known already.

    Raises:
        ProgramNotBuilt: Helm.
        BenchError: Helm refused.
    """
    _helm(settings, cluster.kubeconfig, "install", "--create-namespace")
    accounts = [item async for page in kube.pages(ACCOUNTS, NAMESPACE) for item in page["items"]]
    names = [item["metadata"]["name"] for item in accounts]
    account = next(name for name in names if name != "default")
    kubeconfig = await _kubeconfig(settings, cluster, kube, account)
    return Release(chart_settings(settings, cluster), kubeconfig, account)


def chart_settings(settings: Settings, cluster: Cluster) -> dict[str, Any]:
    """The operator's, as the chart has them where it is not installed yet, too.

    Raises:
        ProgramNotBuilt, BenchError: as `install`.
    """
    only = ("--show-only", "templates/settings.yaml")
    told = yaml.safe_load(_helm(settings, cluster.kubeconfig, "template", *only))
    found: dict[str, Any] = yaml.safe_load(told["data"]["operator.yaml"])
    return found


def injection_of(operator: dict[str, Any]) -> InjectionSettings:
    """What pods get by the operator's settings."""
    return msgspec.convert(operator["injection"], InjectionSettings)


@contextlib.contextmanager
def replica(settings: Settings, release: Release, name: str = NAME) -> Iterator[Operator]:
    """One replica, ready as soon as `lead_here` and time let it be."""
    port, health_port = free_port(), free_port()
    written = {
        **release.settings,
        "webhook": {**release.settings["webhook"], "port": port, "drain": "1s"},
        "healthHost": "127.0.0.1",
        "healthPort": health_port,
    }
    file, log = settings.folder / f"{name}.yaml", settings.folder / f"{name}.log"
    file.write_text(yaml.safe_dump(written), encoding="utf-8")
    variables = {
        "KUBECONFIG": str(release.kubeconfig),
        "POD_NAME": name,
        "POD_NAMESPACE": NAMESPACE,
    }
    command = [sys.executable, "-m", "moorline_operator", "run", "--settings", str(file)]
    with running(settings.cores.server, command, log, variables) as process:
        yield Operator(process, port, health_port, log)


async def until_leading(kube: Kube, release: Release, operator: Operator) -> None:
    """Wait until the replica is ready, and holds the Lease.

    Raises:
        BenchError: it has ended, or it takes too long.
    """
    await _lead_here(kube, release, operator)
    wait_until(
        partial(is_ready, operator.health_port), operator.process, operator.log, "the operator"
    )

    async def is_leading() -> bool:
        lease = await kube.get(LEASES, NAMESPACE, release.settings["election"]["lease"])
        return str(lease["spec"].get("holderIdentity", "")).startswith(f"{operator.log.stem}_")

    await until(is_leading, "the replica does not lead")


async def _lead_here(kube: Kube, release: Release, operator: Operator) -> None:
    """Give the webhook's Service an endpoint; with pods, controllers would."""
    configuration = release.settings["webhook"]["configuration"]
    webhooks = (await kube.get(MUTATING_WEBHOOKS, "", configuration))["webhooks"]
    service = webhooks[0]["clientConfig"]["service"]["name"]
    await kube.apply(
        SLICES,
        {
            "apiVersion": SLICES.api_version,
            "kind": SLICES.name,
            "metadata": {
                "name": "replicas",
                "namespace": NAMESPACE,
                "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4",
            "ports": [{"name": "webhook", "port": operator.port}],
            "endpoints": [{"addresses": [_own_address()], "conditions": {"ready": True}}],
        },
    )


async def _kubeconfig(settings: Settings, cluster: Cluster, kube: Kube, account: str) -> Path:
    tokens = Kind(ACCOUNTS.api_version, "TokenRequest", f"{ACCOUNTS.plural}/{account}/token")
    answer = await kube.create(
        tokens,
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": tokens.name,
            "metadata": {"namespace": NAMESPACE},
            "spec": {"expirationSeconds": TOKEN_SECONDS},
        },
    )
    server = {"server": cluster.url, "certificate-authority": str(cluster.ca)}
    credentials = {"token": answer["status"]["token"]}
    return write_kubeconfig(settings.folder / "operator.kubeconfig", server, credentials)


def _helm(settings: Settings, kubeconfig: Path, command: str, *options: str) -> str:
    folders = {
        f"HELM_{kind}_HOME": str(settings.folder / "helm") for kind in ("CACHE", "CONFIG", "DATA")
    }
    done = subprocess.run(
        [
            *(str(built(HELM)), command, NAME, str(CHART), "--set", "crds.enabled=false"),
            *("--namespace", NAMESPACE, *options),
        ],
        env={**os.environ, **folders, "KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        timeout=HELM_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"Helm: {done.stderr.strip()[-500:]}")
    return done.stdout


def _own_address() -> str:
    """This machine's own: endpoints of a Service must not be on the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        try:
            # Nothing is sent: it only makes the system choose the address it would send from.
            unused.connect(("203.0.113.1", 9))
        except OSError as error:
            raise BenchError("this machine has no address but the loopback") from error
        address: str = unused.getsockname()[0]
    return address
