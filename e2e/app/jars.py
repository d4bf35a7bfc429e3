"""Java servers that no Linux distribution packages, got by Maven and kept in the cache.

    python3 -m e2e.app.jars

gets what is not there yet. Maven asks the repositories that its own settings name.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from e2e.cluster.places import cache

PACKAGES: Final = "default-jre-headless maven"
"""Debian's names of what starts the servers and of what gets them."""


class NotThere(Exception):
    """A file is not in the cache, or cannot be got; the text says what cures it."""


@dataclass(frozen=True)
class Jar:
    """A file of Maven's `group:artifact:version`, and the SHA-256 that it has to have."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where it is, or would be if it was got."""
        return cache() / "jars" / f"{self.artifact}-{self.version}.jar"


HAZELCAST: Final = Jar(
    "com.hazelcast",
    "hazelcast",
    "5.5.0",
    "cf560b40b988526e780e4fae12cb6fe01c5158bb9e00839882857f32b544a19e",
)
JARS: Final = (HAZELCAST,)


def found(jar: Jar) -> Path:
    """The file in the cache.

    Raises:
        NotThere: it is not.
    """
    if not jar.path.exists():
        cure = f"`apt install {PACKAGES}` and `python3 -m e2e.app.jars`"
        raise NotThere(f"{jar.path} is not here: {cure}")
    return jar.path


def fetch(jar: Jar) -> None:
    """Get the file, unless it is there; whole from the first moment that it is.

    Raises:
        NotThere: Maven is not, or does not get it, or what it got is another file.
    """
    if jar.path.exists():
        return
    maven = shutil.which("mvn")
    if maven is None:
        raise NotThere(f"mvn is not here: `apt install {PACKAGES}`")
    jar.path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jar.path.parent) as folder:
        got = Path(folder) / jar.path.name
        coordinates = f"-Dartifact={jar.group}:{jar.artifact}:{jar.version}"
        copying = (f"-DoutputDirectory={folder}", "-Dtransitive=false")
        for goal, options in (("get", ("-Dtransitive=false",)), ("copy", copying)):
            command = (maven, "--batch-mode", "--quiet", f"dependency:{goal}", coordinates)
            done = subprocess.run(  # noqa: S603 - found on the path on purpose
                (*command, *options), capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise NotThere(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        if hashlib.sha256(got.read_bytes()).hexdigest() != jar.sha256:
            raise NotThere(f"{jar.path.name}: Maven got another file than the one that is pinned")
        got.rename(jar.path)


if __name__ == "__main__":
    try:
        for wanted in JARS:
            fetch(wanted)
    except NotThere as error:
        sys.exit(str(error))
