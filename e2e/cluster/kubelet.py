"""What makes a control plane a cluster that runs pods: kubelet, kube-proxy, scheduler and DNS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from e2e.cluster.control_plane import LocalControlPlane
from e2e.cluster.part import Part, component
from e2e.cluster.places import CONTROL_GROUP, DOMAIN, NODE, NODE_ADDRESS, PODS

_DNS: Final = """\
.:53 {{
    bind {address}
    errors
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
}}
"""


def node_parts(
    program: Path, dns: Path, plane: LocalControlPlane, folder: Path, runtime: Path
) -> list[Part]:
    """The parts, in the order in which they are started.

    `program` is what `build.CLUSTER` makes, `dns` that of `build.DNS`, `runtime` the socket of
    containerd.
    """
    logs = folder / "log"
    return [
        component(program, "kube-scheduler", _scheduler_flags(plane), logs),
        component(program, "kube-proxy", _proxy_flags(plane), logs),
        _dns(dns, plane, folder),
        component(program, "kubelet", _kubelet_flags(plane, folder, runtime), logs),
    ]


def _scheduler_flags(plane: LocalControlPlane) -> dict[str, object]:
    kubeconfig = plane.kubeconfig_of("system:kube-scheduler")
    return {"kubeconfig": kubeconfig, "leader-elect": "false", "secure-port": 0}


def _proxy_flags(plane: LocalControlPlane) -> dict[str, object]:
    return {
        "kubeconfig": plane.kubeconfig_of("system:kube-proxy"),
        "hostname-override": NODE,
        "proxy-mode": "iptables",
        "cluster-cidr": PODS,
        # These are settings of the machine's kernel, which may not be changed from here.
        "conntrack-max-per-core": 0,
        "conntrack-tcp-timeout-established": 0,
        "conntrack-tcp-timeout-close-wait": 0,
        "healthz-bind-address": "",
        "metrics-bind-address": "",
    }


def corefile(kubeconfig: Path) -> str:
    """The configuration of CoreDNS; coredns/main.go links no more plugins than it names."""
    return _DNS.format(address=NODE_ADDRESS, domain=DOMAIN, kubeconfig=kubeconfig)


def _dns(program: Path, plane: LocalControlPlane, folder: Path) -> Part:
    # Not a pod: it needs no image, and pods find it at the address of their node.
    configuration = folder / "Corefile"
    kubeconfig = plane.kubeconfig_of("system:dns", "system:masters")
    configuration.write_text(corefile(kubeconfig))
    command = (str(program), "-conf", str(configuration))
    return Part("coredns", command, folder / "log" / "coredns.log")


def _kubelet_flags(plane: LocalControlPlane, folder: Path, runtime: Path) -> dict[str, object]:
    configuration = folder / "kubelet.json"
    configuration.write_text(json.dumps(_kubelet_configuration(plane, runtime), indent=2))
    return {
        "config": configuration,
        "kubeconfig": plane.kubeconfig_of(f"system:node:{NODE}", "system:nodes"),
        "hostname-override": NODE,
        "node-ip": NODE_ADDRESS,
        "root-dir": folder / "kubelet",
        "cert-dir": folder / "kubelet-certificates",
    }


def _kubelet_configuration(plane: LocalControlPlane, runtime: Path) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "containerRuntimeEndpoint": f"unix://{runtime}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plane.ca)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CONTROL_GROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        # The machine may forbid raising some limits, as it does in a user's namespace.
        "featureGates": {"KubeletInUserNamespace": True},
        "localStorageCapacityIsolation": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": DOMAIN,
        # The machine's own is about a network that the node is not in.
        "resolvConf": "",
        "maxPods": 200,
    }
