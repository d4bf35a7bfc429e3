"""Three ways to a cluster: one that is given, kind, or the single-node cluster of this repository.

What the environment says:

- `KUBECONFIG`: the cluster is given, and everything in it that is not the suite's is left alone.
  `MOORLINE_E2E_REGISTRY=registry.example.com/team` pushes the images there with Docker;
  `MOORLINE_E2E_LOAD='command'` calls the command with an archive of them; without either they have
  to be known to the nodes.
- `MOORLINE_E2E=kind|own` decides where both would do. By itself kind goes first, where its program
  and a Docker are there.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from e2e.cluster import images, places
from e2e.cluster.build import HELM, build
from e2e.cluster.docker import Docker
from e2e.suite.commands import ROOT

Way: TypeAlias = Literal["given", "kind", "own"]

KIND_CLUSTER: Final = "moorline-e2e"


class Target(Struct, frozen=True):
    """A cluster with the images in it: their names begin with `registry`, where there is one."""

    way: Way
    kubeconfig: Path
    registry: str = ""

    def image(self, name: str) -> str:
        """The name by which the cluster knows one of `images.IMAGES`."""
        return f"{self.registry}/{name.replace('/', '-')}" if self.registry else name


@contextmanager
def reached(say: Callable[[str], None]) -> Iterator[Target]:
    """A cluster to work with; what was started for it is stopped.

    Raises:
        CannotBuild: there is no Go; says what cures it.
        ValueError: `MOORLINE_E2E` is something else.
        subprocess.CalledProcessError: a command failed; why is on its stderr.
    """
    build(HELM)
    match os.environ.get("MOORLINE_E2E", ""):
        case "" if given := os.environ.get("KUBECONFIG"):
            yield _given(Path(given), say)
        case "kind":
            with _kind(say) as target:
                yield target
        case "" if _has_kind():
            with _kind(say) as target:
                yield target
        case "" | "own":
            with _own() as target:
                yield target
        case other:
            raise ValueError(f"MOORLINE_E2E={other}: it is kind or own, or not set")


def _given(kubeconfig: Path, say: Callable[[str], None]) -> Target:
    registry = os.environ.get("MOORLINE_E2E_REGISTRY", "").rstrip("/")
    target = Target("given", kubeconfig, registry)
    if registry:
        say(f"pushing the images to {registry}")
        images.push(target.image, say)
    elif load := os.environ.get("MOORLINE_E2E_LOAD"):
        archive = images.archive(say)
        say(f"loading {archive}")
        subprocess.run((*shlex.split(load), str(archive)), check=True)
    return target


@contextmanager
def _kind(say: Callable[[str], None]) -> Iterator[Target]:
    # Its own name and kubeconfig: a person's clusters and their current context stay as they are.
    kubeconfig = places.cache() / f"{KIND_CLUSTER}.kubeconfig"
    which = ("--name", KIND_CLUSTER, "--kubeconfig", str(kubeconfig))
    archive = images.archive(say, Docker())
    say("creating the cluster with kind")
    # One that a run has left behind, which was broken off.
    _do("kind", "delete", "cluster", *which)
    try:
        config = ROOT / "e2e" / "kind.yaml"
        _do("kind", "create", "cluster", *which, "--config", str(config), "--wait", "3m")
        _do("kind", "load", "image-archive", str(archive), "--name", KIND_CLUSTER)
        yield Target("kind", kubeconfig)
    finally:
        _do("kind", "delete", "cluster", *which)


@contextmanager
def _own() -> Iterator[Target]:
    """The node that runs already, and then is left running, or one for us alone."""
    was_there = subprocess.run(_node("status"), capture_output=True, check=False).returncode == 0
    try:
        subprocess.run(_node("up"), cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        yield Target("own", places.kubeconfig())
    finally:
        if not was_there:
            subprocess.run(_node("down"), cwd=ROOT, check=True)


def _node(command: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "e2e.cluster", command)


def _has_kind() -> bool:
    if shutil.which("kind") is None or shutil.which("docker") is None:
        return False
    answer = subprocess.run(("docker", "info"), capture_output=True, check=False)
    return answer.returncode == 0


def _do(*command: str) -> None:
    subprocess.run(command, check=True)
