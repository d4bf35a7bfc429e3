"""The way of tests to a real Kubernetes control plane; there is no node and no scheduler.

Pods are made and never run; as they are on no node, they vanish at once when they are deleted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from e2e.cluster.build import HELM, cached
from e2e.cluster.control_plane import LocalControlPlane, write_kubeconfig

COMMAND_SECONDS: Final = 100.0


class CommandFailed(Exception):
    """kubectl or helm refused or failed; the text is what it said on standard error."""


class ControlPlane:
    """An API server with us as cluster-admin, and the processes behind it where they are ours.

    Every method blocks. What takes seconds, and whatever makes the API server call the test
    itself (a webhook in its event loop), goes through `asyncio.to_thread`.
    """

    def __init__(self, folder: Path, kubeconfig: str, local: LocalControlPlane | None) -> None:
        """`folder` takes kubeconfigs and caches; `local` is None for a cluster given to us."""
        self._folder = folder
        self._local = local
        self._sources = kubeconfig
        # One file without references to others, whatever was given.
        flat = self.kubectl("config", "view", "--minify", "--flatten", "--raw", "--output=json")
        self.kubeconfig: Final = folder / "control-plane.kubeconfig"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(flat)
        self._sources = str(self.kubeconfig)
        self._cluster: Final[dict[str, Any]] = json.loads(flat)["clusters"][0]["cluster"]

    @property
    def url(self) -> str:
        server: str = self._cluster["server"]
        return server

    @property
    def ca(self) -> str:
        """The base64 of the PEM that the API server's certificate is verified with."""
        authority: str = self._cluster.get("certificate-authority-data", "")
        return authority

    @property
    def is_local(self) -> bool:
        """Whether it can be stopped, be audited, and call webhooks on 127.0.0.1."""
        return self._local is not None

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints.

        Raises:
            CommandFailed: see there.
        """
        cache = f"--cache-dir={self._folder / 'kubectl'}"
        return self._output(_program("kubectl"), (cache, *arguments), stdin)

    def helm(self, *arguments: str, stdin: str = "") -> str:
        """What Helm prints.

        Raises:
            CommandFailed: see there.
        """
        built = cached(HELM)
        program = str(built) if built.exists() else _program("helm")
        return self._output(program, arguments, stdin)

    def kubeconfig_for(self, namespace: str, service_account: str) -> Path:
        """A kubeconfig with a token of the ServiceAccount, good for an hour."""
        token = self.kubectl("create", "token", service_account, f"--namespace={namespace}")
        path = self._folder / f"{namespace}-{service_account}.kubeconfig"
        return write_kubeconfig(path, self._cluster, {"token": token.strip()})

    def audit(self) -> list[dict[str, Any]]:
        """The audit log so far, one Event a request; it only grows.

        A watch has two: when its answer began, and when it ended.
        """
        path = self._processes().audit_log
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        # The last line may be half written.
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def start(self) -> None:
        """Start whatever a test has stopped."""
        if self._local is not None:
            self.start_api_server()
            self._local.start()

    def stop_api_server(self) -> None:
        """As a crash would: connections break, its port refuses."""
        self._processes().api_server.stop(by_force=True)

    def start_api_server(self) -> None:
        """The same server with the same data; returns when it is ready."""
        local = self._processes()
        was_stopped = not local.api_server.is_started
        local.start_api_server()
        if was_stopped and local.controllers.is_started:
            # Left running, they take up to half a minute to try their watches again.
            self.restart_controllers()

    def stop_controllers(self) -> None:
        """From then on nothing is garbage-collected, and no Deployment makes a pod."""
        self._processes().controllers.stop(by_force=True)

    def start_controllers(self) -> None:
        """They take a few seconds to do something, which is not waited for."""
        self._processes().controllers.start()

    def restart_controllers(self) -> None:
        """As if they had just been started: they see everything anew, and wait for nothing."""
        self.stop_controllers()
        self.start_controllers()

    def _processes(self) -> LocalControlPlane:
        if self._local is None:
            pytest.skip("it needs a control plane of its own, and KUBECONFIG names another one")
        return self._local

    def _output(self, program: str, arguments: tuple[str, ...], stdin: str) -> str:
        answer = subprocess.run(
            (program, *arguments),
            input=stdin,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if answer.returncode:
            said = answer.stderr.strip() or answer.stdout.strip()
            raise CommandFailed(f"{Path(program).name} ended with {answer.returncode}: {said}")
        return answer.stdout

    def _environment(self) -> Mapping[str, str]:
        home = {f"HELM_{kind}_HOME": str(self._folder / "helm") for kind in _HELM_HOMES}
        return {**os.environ, **home, "KUBECONFIG": self._sources}


_HELM_HOMES: Final = ("CACHE", "CONFIG", "DATA")


def _program(name: str) -> str:
    """The one beside this Python, or else the first on the path."""
    folders = (str(Path(sys.executable).parent), os.environ.get("PATH", ""))
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        pytest.skip(f"there is no {name}: `make cluster` builds Helm, with Go")
    return found
