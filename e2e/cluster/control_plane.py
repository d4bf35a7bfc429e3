"""etcd, an API server and its controllers on the loopback interface, all in one folder."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from e2e.cluster.authority import Authority, KeyPair
from e2e.cluster.part import HOST, component
from e2e.ports import free_port

START_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.05

ADMIN: Final = "cluster-admin"

_AUDIT_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # One entry a request, and a second one for a watch: when it began, and when it ended.
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True)
class Surroundings:
    """What an API server has around it.

    It listens on `address` and `port`, and is known by these `names` too; `services` are the
    addresses of Services, and `flags` more of its flags.
    """

    address: str
    port: int
    services: str
    names: tuple[str, ...] = ()
    flags: Mapping[str, object] = field(default_factory=dict)


def without_nodes() -> Surroundings:
    """On a free port of the loopback interface; nothing can be reached through a Service."""
    return Surroundings(
        HOST,
        free_port(),
        "10.0.0.0/16",
        flags={
            # The loopback address may not be among a Service's endpoints.
            "endpoint-reconciler-type": "none",
            # A Service without a proxy: webhooks behind one are called at its endpoints.
            "enable-aggregator-routing": "true",
        },
    )


class LocalControlPlane:
    """A Kubernetes control plane without nodes, with TLS, RBAC and an audit log.

    `program` is what `build.CLUSTER` makes. Ports, data and identities stay the same when a part
    is stopped and started again.
    """

    def __init__(
        self, program: Path, folder: Path, surroundings: Surroundings | None = None
    ) -> None:
        self._folder = folder
        self._around = surroundings or without_nodes()
        self._authority = Authority(folder)
        self.audit_log: Final = folder / "audit.log"
        etcd = f"http://{HOST}:{free_port()}"
        self.etcd: Final = component(program, "etcd", self._etcd_flags(etcd), folder)
        self.api_server: Final = component(program, "kube-apiserver", self._api_flags(etcd), folder)
        self.controllers: Final = component(
            program, "kube-controller-manager", self._controller_flags(), folder
        )
        self.kubeconfig: Final = self.kubeconfig_of(ADMIN, "system:masters")

    @property
    def url(self) -> str:
        return f"https://{self._around.address}:{self._around.port}"

    @property
    def ca(self) -> Path:
        """The PEM file that verifies the API server's certificate."""
        return self._authority.files.certificate

    def start(self) -> None:
        """Start what is stopped, and wait until the API server is ready.

        Raises:
            EndedByItself: something is wrong; the end of its log is in the text.
            TimeoutError: the same, and it hangs.
        """
        self.etcd.start()
        self.start_api_server()
        # They give up early where the API server takes its time.
        self.controllers.start()

    def start_api_server(self) -> None:
        """Start it if it is stopped, and wait until it is ready.

        Raises:
            EndedByItself, TimeoutError: as `start`.
        """
        self.api_server.start()
        self._wait(self._is_ready)

    def stop(self) -> None:
        """End all parts at once: what they keep is thrown away."""
        for part in (self.controllers, self.api_server, self.etcd):
            part.stop(by_force=True)

    def kubeconfig_of(self, user: str, group: str = "") -> Path:
        """A kubeconfig with a client certificate."""
        pair = self._authority.client(user, group)
        credentials = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
        return write_kubeconfig(
            self._folder / f"{pair.key.stem}.kubeconfig",
            {"server": self.url, "certificate-authority": str(self.ca)},
            credentials,
        )

    def _wait(self, is_reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_reached():
            for part in (self.etcd, self.api_server):
                part.check()
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"no API server within {START_SECONDS:.0f} s; the end of its log:\n"
                    f"{self.api_server.tail()}"
                )
            time.sleep(POLL_SECONDS)

    def _is_ready(self) -> bool:
        trust = ssl.create_default_context(cafile=str(self.ca))
        connection = http.client.HTTPSConnection(
            self._around.address, self._around.port, timeout=5, context=trust
        )
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _etcd_flags(self, url: str) -> dict[str, object]:
        peer = f"http://{HOST}:{free_port()}"
        return {
            "name": "default",
            "data-dir": self._folder / "etcd",
            "listen-client-urls": url,
            "advertise-client-urls": url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }

    def _api_flags(self, etcd: str) -> dict[str, object]:
        around = self._around
        # Host names are those that a Pod would know it by.
        names = (around.address, "localhost", "kubernetes", *around.names)
        serving = self._authority.server("kube-apiserver", names)
        policy = self._folder / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(_AUDIT_POLICY))
        self._service_account_key = self._authority.signing_key("service-accounts")
        return {
            "etcd-servers": etcd,
            "bind-address": around.address,
            "advertise-address": around.address,
            "secure-port": around.port,
            "service-cluster-ip-range": around.services,
            **_certificate_flags("tls-cert-file", "tls-private-key-file", serving),
            "client-ca-file": self.ca,
            # For logs and exec, where there are nodes; their names are in no DNS.
            **_certificate_flags(
                "kubelet-client-certificate",
                "kubelet-client-key",
                self._authority.client("system:kube-apiserver", "system:masters"),
            ),
            "kubelet-preferred-address-types": "InternalIP",
            "authorization-mode": "Node,RBAC",
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": self._service_account_key,
            "service-account-signing-key-file": self._service_account_key,
            "audit-policy-file": policy,
            "audit-log-path": self.audit_log,
            "audit-log-maxsize": 10_000,
            **around.flags,
        }

    def _controller_flags(self) -> dict[str, object]:
        authority = self._authority.files
        user = "system:kube-controller-manager"
        return {
            "kubeconfig": self.kubeconfig_of(user),
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self._service_account_key,
            "root-ca-file": authority.certificate,
            **_certificate_flags(
                "cluster-signing-cert-file", "cluster-signing-key-file", authority
            ),
            "leader-elect": "false",
            "secure-port": 0,
            "controllers": "*",
            # As fast as it goes: a test waits for it.
            "kube-api-qps": 1000,
            "kube-api-burst": 2000,
        }


def write_kubeconfig(path: Path, cluster: dict[str, Any], credentials: dict[str, Any]) -> Path:
    """A kubeconfig with one context, to which only its owner has access."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": cluster}],
        "users": [{"name": "local", "user": credentials}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
        "current-context": "local",
    }
    # JSON is YAML.
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2))
    return path


def _certificate_flags(certificate: str, key: str, pair: KeyPair) -> dict[str, object]:
    return {certificate: pair.certificate, key: pair.key}
