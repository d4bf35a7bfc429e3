"""What the single-node cluster wants of the machine.

Started as `python -m e2e.cluster.machine` it prints in one line the packages that are missing where
a node could run. The standard library is enough for that.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import Final

from e2e.cluster.docker import find_client
from e2e.cluster.runtime import has_plugins

PACKAGES: Final = {
    "containerd": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "unshare": "util-linux",
    "dockerd": "docker.io",
    "debootstrap": "debootstrap",
}
"""Debian's packages, by a program that is in each."""

PLUGINS: Final = "containernetworking-plugins"

_FIRST_WITH_CLIENT_APART: Final = 13


def can_run_node() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def missing_packages() -> list[str]:
    """Debian's packages that have to be installed to run the node and to build its images."""
    return lacking(
        shutil.which,
        has_plugins=has_plugins(),
        has_client=find_client() is not None,
        release=_release(),
    )


def lacking(
    which: Callable[[str], str | None],
    *,
    has_plugins: bool,
    has_client: bool,
    release: Mapping[str, str],
) -> list[str]:
    """As `missing_packages`, of a machine of which these are the facts.

    `which` finds a program, `has_client` is about a Docker client with BuildKit, `release` is that
    of os-release(5).
    """
    packages = {package for program, package in PACKAGES.items() if which(program) is None}
    if not has_plugins:
        packages.add(PLUGINS)
    if not has_client:
        packages |= _client_packages(release)
    return sorted(packages)


def _client_packages(release: Mapping[str, str]) -> set[str]:
    version = release.get("VERSION_ID", "").split(".")[0]
    if release.get("ID") == "debian" and version.isdigit():
        if int(version) < _FIRST_WITH_CLIENT_APART:
            return {"docker.io"}
        return {"docker-buildx", "docker-cli"}
    return {"docker-buildx", "docker.io"}


def _release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


if __name__ == "__main__":
    print(" ".join(missing_packages() if can_run_node() else ()))
