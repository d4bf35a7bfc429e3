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
    "e2e/app/pages.py",
    "e2e/app/sessions.py",
    "e2e/app/shop.py",
    "e2e/images/*",
    "e2e/cluster/pause/*",
)


def archive(say: Callable[[str], None]) -> Path:
    """The archive of all images, built unless it is there; `say` gets a line for every long step.

    Raises:
        CannotBuild: there is no Go for the smallest of them.
        subprocess.CalledProcessError, EndedByItself, TimeoutError: a build failed.
    """
    path = places.cache() / f"images-{_fingerprint()}.tar"
    if not path.exists():
        pause = build(PAUSE)
        with (
            tempfile.TemporaryDirectory(prefix="moorline-images-") as folder,
            running_docker(Path(folder)) as docker,
        ):
            _build_all(docker, pause, Path(folder), path, say)
        _forget_old()
    return path


def _build_all(
    docker: Docker, pause: Path, folder: Path, path: Path, say: Callable[[str], None]
) -> None:
    if not docker.has(BASE_IMAGE):
        say(f"importing a stand-in for {BASE_IMAGE}: made by debootstrap in a minute, then kept")
        docker.do("import", _stand_in(), BASE_IMAGE)
    (folder / "pause").mkdir()
    shutil.copy2(pause, folder / "pause" / "pause")
    (folder / "pause" / "Dockerfile").write_text(
        'FROM scratch\nCOPY pause /\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'
    )
    docker.build(folder / "pause", PAUSE_IMAGE, {})
    given = {name: os.environ[name] for name in _PIP_ARGUMENTS if name in os.environ}
    for image in IMAGES:
        say(f"building {image.name}: a minute the first time")
        which = (f"--file={ROOT / image.dockerfile}", f"--target={image.target}")
        docker.build(ROOT, image.name, given, *which)
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
    for file in sorted(_source_files()):
        digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _source_files() -> Iterator[Path]:
    for pattern in _SOURCES:
        for file in ROOT.glob(pattern):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def _forget_old() -> None:
    """They are big, and every change of a source makes one."""
    archives = sorted(places.cache().glob("images-*.tar"), key=lambda file: file.stat().st_mtime)
    for file in archives[:-KEPT_ARCHIVES]:
        file.unlink()
