"""MySQL is in the cache, or whoever wants it is told what to do."""

import platform
from pathlib import Path

import pytest

from e2e.app.databases import NotInstalled
from e2e.app.jars import NotThere
from e2e.app.mysql_server import MySQLServer, home, unpack


@pytest.fixture(autouse=True)
def _an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_server_that_is_not_there_is_told_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match=r"python3 -m e2e\.app\.mysql_server"):
        MySQLServer(tmp_path).make()


def test_what_cannot_be_unpacked_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(NotThere, match=r"python3 -m e2e\.app\.jars"):
        unpack()

    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(NotThere, match="x86-64"):
        unpack()

    assert not home().exists()
    assert not list(home().parent.glob("*"))
