"""Files that Maven gets are kept, and only those that are pinned."""

import hashlib
from pathlib import Path

import pytest

from e2e.app.jars import HAZELCAST, Jar, Jars, NotThere, fetch, found, listing

CONTENT = b"a jar\n"
MAVEN = """#!/bin/sh
for option; do
    case "$option" in -DoutputDirectory=*)
        mkdir -p "${option#*=}"
        echo 'a jar' > "${option#*=}/server-1.0.jar" ;;
    esac
done
echo called >> "$0.calls"
"""


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that gets `CONTENT`, with a cache of its own."""
    path = tmp_path / "bin" / "mvn"
    path.parent.mkdir()
    path.write_text(MAVEN)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def a_jar(content: bytes) -> Jar:
    return Jar("com.example", "server", "1.0", hashlib.sha256(content).hexdigest())


def test_what_was_got_once_is_kept(maven: Path) -> None:
    jar = a_jar(CONTENT)

    fetch(jar)
    calls = (maven.parent / "mvn.calls").read_text()
    fetch(jar)

    assert found(jar).read_bytes() == CONTENT
    assert (maven.parent / "mvn.calls").read_text() == calls


@pytest.mark.usefixtures("maven")
def test_a_file_with_all_that_it_depends_on_is_pinned_by_all_of_them() -> None:
    names = f"{hashlib.sha256(CONTENT).hexdigest()}  server-1.0.jar\n".encode()
    pinned = Jars("com.example", "server", "1.0", hashlib.sha256(names).hexdigest())
    other = Jars("com.example", "server", "1.1", hashlib.sha256(CONTENT).hexdigest())

    fetch(pinned)

    assert listing(found(pinned)) == names
    with pytest.raises(NotThere, match="another file"):
        fetch(other)
    assert not other.path.exists()


@pytest.mark.usefixtures("maven")
def test_another_file_than_the_pinned_one_is_not_kept() -> None:
    jar = a_jar(b"another jar")

    with pytest.raises(NotThere, match="another file"):
        fetch(jar)

    assert not jar.path.exists()


@pytest.mark.usefixtures("maven")
def test_what_is_not_there_is_told_with_its_cure() -> None:
    with pytest.raises(NotThere, match=r"python3 -m e2e\.app\.jars"):
        found(HAZELCAST)
