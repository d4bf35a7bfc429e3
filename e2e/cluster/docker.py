"""A Docker daemon to build images with: no network of its own, and only while it is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from e2e.cluster import places
from e2e.cluster.part import Part

START_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.1
KEPT_BUILD_CACHE: Final = "2GB"


class Docker:
    """The client of a running daemon, the machine's own without a socket; BuildKit builds."""

    def __init__(self, socket: Path | None = None) -> None:
        client = find_client()
        if client is None:
            raise FileNotFoundError("no docker client with BuildKit: `apt-get install docker.io`")
        self._client: Final = client
        self._environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
        if socket is not None:
            self._environment["DOCKER_HOST"] = f"unix://{socket}"
            # The client of any age talks to the daemon of Debian 12.
            self._environment["DOCKER_API_VERSION"] = "1.41"

    def is_answering(self) -> bool:
        return self._run("version", is_quiet=True).returncode == 0

    def has(self, image: str) -> bool:
        return self._run("image", "inspect", image, is_quiet=True).returncode == 0

    def do(self, *arguments: str) -> None:
        """Run a command of the client.

        Raises:
            subprocess.CalledProcessError: it failed; why is on its standard error.
        """
        self._run(*arguments).check_returncode()

    def build(self, context: Path, tag: str, arguments: Mapping[str, str], *more: str) -> None:
        """Raises as `do`."""
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        self.do("build", "--quiet", "--network=host", f"--tag={tag}", *given, *more, str(context))

    def forget_old(self) -> None:
        """Remove images that have lost their names, and of the build cache all but 2 GB."""
        # That it fails is no reason to have no images: it says why, and costs space.
        self._run("image", "prune", "--force")
        self._run("builder", "prune", "--force", f"--keep-storage={KEPT_BUILD_CACHE}")

    def _run(self, *arguments: str, is_quiet: bool = False) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # noqa: S603 - found on the path on purpose
            (self._client, *arguments),
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if is_quiet else None,
            check=False,
        )


@contextmanager
def running_docker(folder: Path) -> Iterator[Docker]:
    """A daemon whose files of this run are in `folder`; what it has built stays in the cache.

    Raises:
        EndedByItself, TimeoutError: it does not start.
    """
    socket = folder / "docker.sock"
    # Among mounts of its own, so that none can be left, and not longer than we are here.
    apart = ("unshare", "--mount", "setpriv", "--pdeathsig=TERM")
    flags = {
        "data-root": places.cache() / "docker",
        "exec-root": folder / "docker",
        "pidfile": folder / "docker.pid",
        "host": f"unix://{socket}",
        "bridge": "none",
        "iptables": "false",
        "ip-forward": "false",
        "ip-masq": "false",
        "cgroup-parent": f"/{places.BUILD_CONTROL_GROUP}",
    }
    command = (*apart, "dockerd", *(f"--{name}={value}" for name, value in flags.items()))
    part = Part("dockerd", command, folder / "dockerd.log")
    part.start()
    try:
        docker = Docker(socket)
        _wait(part, docker)
        yield docker
    finally:
        part.stop()
        places.remove_control_group(places.BUILD_CONTROL_GROUP)


def _wait(part: Part, docker: Docker) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not docker.is_answering():
        part.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"no dockerd within {START_SECONDS:.0f} s:\n{part.tail()}")
        time.sleep(POLL_SECONDS)


def find_client() -> str | None:
    """One that can use BuildKit: up to 20.10 it does by itself, later ones need their plugin."""
    for folder in os.get_exec_path():
        found = shutil.which("docker", path=folder)
        if found is not None and _has_buildkit(found):
            return found
    return None


def _has_buildkit(client: str) -> bool:
    version = _output(client, "--version").removeprefix("Docker version ").split(".")[0]
    return version.isdigit() and (int(version) <= 20 or bool(_output(client, "buildx", "version")))  # noqa: PLR2004


def _output(*command: str) -> str:
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - see `_client`
    return answer.stdout if answer.returncode == 0 else ""
