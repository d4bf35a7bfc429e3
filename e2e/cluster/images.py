"""The images that run in the cluster, built from the Dockerfiles and kept in a cache.

One archive holds them all; a build of unchanged sources is found in
`$XDG_CACHE_HOME/moorline/images-<hash>.tar`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2e.cluster import places
from e2e.cluster.build import PAUSE, build
from e2e.cluster.docker import Docker, running_docker
from e2e.cluster.lock import locked
from e2e.cluster.runtime import PAUSE_IMAGE

ROOT: Final = Path(__file__).resolve().parents[2]
BASE_IMAGE: Final = "python:3.13-slim"
KEPT_ARCHIVES: Final = 2

_PIP_ARGUMENTS: Final = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")


@dataclass(frozen=True)
class Image:
    """A target of a Dockerfile, and the name under which the cluster knows it."""

    name: str
    dockerfile: str
    target: str


# The names are those that the chart gives to its images by default.
IMAGES: Final = (
    Image("moorline/sidecar:0.1.0", "Dockerfile", "sidecar"),
    Image("moorline/operator:0.1.0", "Dockerfile", "operator"),
    # There is no release before: the same by another name, for the upgrade from one version to the
    # next.
    Image("moorline/sidecar:0.0.9", "Dockerfile", "sidecar"),
    Image("moorline/operator:0.0.9", "Dockerfile", "operator"),
    Image("moorline.test/shop:1", "e2e/app/Dockerfile", "shop"),
    Image("moorline.test/store:1", "e2e/app/Dockerfile", "store"),
)

_SOURCES: Final = (
    "Dockerfile",
    ".dockerignore",
    "LICENSE",
    "requirements/*.lock",
    "crds/**/*",
    "operator/**/*",
    "sidecar/**/*",
    "e2e/app/Dockerfile*",
    "e2e/app/*.py",
    "e2e/images/*",
    "e2e/cluster/pause/*",
)


def archive(say: Callable[[str], None], machines: Docker | None = None) -> Path:
    """The archive of all images, built unless it is there; `say` gets a line for every long step.

    `machines` is the machine's own Docker, where it has one; a daemon is started otherwise.

    Raises:
        CannotBuild: there is no Go for the smallest of them.
        subprocess.CalledProcessError, EndedByItself, TimeoutError: a build failed.
    """
    path = places.cache() / f"images-{_fingerprint()}.tar"
    with locked(places.cache() / "images.lock", "another process builds images", say):
        if not path.exists():
            _write(path, machines, say)
            forget_old(places.cache())
    return path


def _write(path: Path, machines: Docker | None, say: Callable[[str], None]) -> None:
    pause = build(PAUSE)
    with tempfile.TemporaryDirectory(prefix="moorline-images-") as name:
        folder = Path(name)
        if machines is not None:
            _build_all(machines, pause, folder, path, say)
            return
        with running_docker(folder) as docker:
            _import_base(docker, say)
            _build_all(docker, pause, folder, path, say)
            docker.forget_old()


def push(known_as: Callable[[str], str], say: Callable[[str], None]) -> None:
    """Build the images with the machine's Docker, and push each by the name it is known as.

    Raises:
        subprocess.CalledProcessError: it failed; why is on its standard error.
    """
    docker = Docker()
    for image in IMAGES:
        _build(docker, image, known_as(image.name), say)
        docker.do("push", known_as(image.name))


def _import_base(docker: Docker, say: Callable[[str], None]) -> None:
    """A daemon of our own reaches no registry."""
    if not docker.has(BASE_IMAGE):
        say(f"importing a stand-in for {BASE_IMAGE}: made by debootstrap in a minute, then kept")
        docker.do("import", _stand_in(), BASE_IMAGE)


def _build(docker: Docker, image: Image, name: str, say: Callable[[str], None]) -> None:
    say(f"building {name}: a minute the first time")
    given = {name: os.environ[name] for name in _PIP_ARGUMENTS if name in os.environ}
    which = (f"--file={ROOT / image.dockerfile}", f"--target={image.target}")
    docker.build(ROOT, name, given, *which)


def _build_all(
    docker: Docker, pause: Path, folder: Path, path: Path, say: Callable[[str], None]
) -> None:
    (folder / "pause").mkdir()
    shutil.copy2(pause, folder / "pause" / "pause")
    (folder / "pause" / "Dockerfile").write_text(
        'FROM scratch\nCOPY pause /\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'
    )
    docker.build(folder / "pause", PAUSE_IMAGE, {})
    for image in IMAGES:
        _build(docker, image, image.name, say)
    say(f"writing {path}")
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        names = [PAUSE_IMAGE, *(image.name for image in IMAGES)]
        docker.do("save", f"--output={unfinished}", *names)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _stand_in() -> str:
    answer = subprocess.run(  # noqa: S603 - a script of this repository
        (ROOT / "e2e/images/stand_in.sh",), stdout=subprocess.PIPE, text=True, check=True
    )
    return answer.stdout.strip()


def _fingerprint() -> str:
    digest = hashlib.sha256(repr(IMAGES).encode())
    for file in sorted(source_files()):
        digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def source_files() -> Iterator[Path]:
    """All that can change the images."""
    for pattern in _SOURCES:
        for file in ROOT.glob(pattern):
            # What was compiled for this machine's Python does not get there: .dockerignore.
            if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".so":
                yield file


def forget_old(folder: Path) -> None:
    """Remove all archives but the newest two: they are big, and every change makes one."""
    archives = sorted(folder.glob("images-*.tar"), key=lambda file: file.stat().st_mtime)
    for file in archives[:-KEPT_ARCHIVES]:
        file.unlink()
