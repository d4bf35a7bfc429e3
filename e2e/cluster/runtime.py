"""Debian's containerd with CNI plugins, kept apart from any that the machine runs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Final

from e2e.cluster.part import Part
from e2e.cluster.places import PODS

PAUSE_IMAGE: Final = "moorline.test/pause:1"

_PLUGIN_FOLDERS: Final = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))

_CONTAINERD: Final = """\
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  # A virtual machine may forbid to lower them.
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
"""


class Containerd:
    """containerd with the files that it wants below `folder`; in namespaces of its own."""

    def __init__(self, folder: Path) -> None:
        self.socket: Final = folder / "containerd.sock"
        configuration = folder / "containerd.toml"
        configuration.write_text(
            _CONTAINERD.format(
                folder=folder, socket=self.socket, pause=PAUSE_IMAGE, plugins=_plugins()
            )
        )
        network = folder / "cni"
        network.mkdir()
        (network / "10-pods.conflist").write_text(json.dumps(_network(), indent=2))
        command = ("containerd", "--config", str(configuration))
        self.part: Final = Part("containerd", command, folder / "log" / "containerd.log")

    def is_answering(self) -> bool:
        return self._ctr("version").returncode == 0

    def load(self, archive: Path) -> None:
        """Take in the images of an archive as `docker save` writes it.

        Raises:
            subprocess.CalledProcessError: it does not.
        """
        self._ctr("--namespace", "k8s.io", "images", "import", str(archive)).check_returncode()

    def _ctr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - containerd's own client
            ("ctr", "--address", str(self.socket), *arguments),  # noqa: S607 - as containerd is
            env={**os.environ, "CONTAINERD_NAMESPACE": "k8s.io"},
            capture_output=True,
            text=True,
            check=False,
        )


def has_plugins() -> bool:
    return any((folder / "bridge").exists() for folder in _PLUGIN_FOLDERS)


def _plugins() -> Path:
    return next(folder for folder in _PLUGIN_FOLDERS if (folder / "bridge").exists())


def _network() -> dict[str, object]:
    bridge = {
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": True,
        "ipMasq": True,
        # A pod may reach itself through a Service.
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni",
            "ranges": [[{"subnet": PODS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, portmap]}
