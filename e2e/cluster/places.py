"""Where the single-node cluster is: its addresses, and the folders that it uses."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

NODE: Final = "moorline"

OUTSIDE_ADDRESS: Final = "10.203.0.1"
NODE_ADDRESS: Final = "10.203.0.2"
"""The two ends of the cable between this machine and the node, a network of 4 addresses."""
CABLE_BITS: Final = 30
OUTSIDE_DEVICE: Final = "moorline0"
NODE_DEVICE: Final = "eth0"

PODS: Final = "10.244.0.0/16"
SERVICES: Final = "10.96.0.0/16"
API_SERVICE_ADDRESS: Final = "10.96.0.1"
"""Kubernetes gives its own Service the first one."""
API_PORT: Final = 6443
DOMAIN: Final = "cluster.local"

CONTROL_GROUP: Final = "moorline-cluster"
"""Below the root of every hierarchy; pods are below it."""
BUILD_CONTROL_GROUP: Final = "moorline-images"
"""The same for what builds images."""

EMPTY_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.05

_HIERARCHIES: Final = Path("/sys/fs/cgroup")


def cache() -> Path:
    """What is kept between clusters."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moorline"


def running() -> Path:
    """What a running cluster needs, its logs too; it is gone afterwards."""
    return cache() / "node"


def kubeconfig() -> Path:
    return running() / "cluster-admin.kubeconfig"


def control_groups(name: str, root: Path = _HIERARCHIES) -> list[Path]:
    """The group's folder in every hierarchy: one in version 2, one a controller in version 1."""
    if (root / "cgroup.controllers").exists():
        return [root / name]
    return [tree / name for tree in sorted(root.iterdir()) if tree.is_mount()]


def has_device(name: str) -> bool:
    """Whether the network namespace of this process has it; /sys may be that of another one."""
    return name in {device for _, device in socket.if_nameindex()}


def remove_control_group(
    name: str, root: Path = _HIERARCHIES, *, seconds: float = EMPTY_SECONDS
) -> None:
    """Remove a group of which all processes have been ended, and those below it.

    Raises:
        OSError: the kernel still does not let it go after that time.
    """
    deadline = time.monotonic() + seconds
    for tree in control_groups(name, root):
        # From the leaves: the kernel removes only empty ones.
        for folder, _, _ in os.walk(tree, topdown=False):
            _remove(Path(folder), deadline)


def _remove(folder: Path, deadline: float) -> None:
    while True:
        try:
            with suppress(FileNotFoundError):
                folder.rmdir()
        except OSError:
            # The last process may be gone a moment before its group is free.
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return
