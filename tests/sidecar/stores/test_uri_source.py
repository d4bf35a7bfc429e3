from pathlib import Path

import pytest
from moorline_sidecar.config.secrets import SecretFile, SecretText
from moorline_sidecar.stores.uri_source import CHECK_SECONDS, UriMissing, UriSource

KEYS = ("uri", "connectionString.standardSrv", "connectionString.standard")


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def missing(source: UriSource) -> str:
    with pytest.raises(UriMissing) as raised:
        source.read()
    assert str(raised.value) == raised.value.detail
    return raised.value.reason


def test_a_text_is_the_uri() -> None:
    assert UriSource(SecretText("mongodb://here")).read() == "mongodb://here"


def test_a_file_holds_the_uri(tmp_path: Path) -> None:
    path = tmp_path / "uri"
    path.write_text("mongodb://here\n")

    assert UriSource(SecretFile(str(path), KEYS)).read() == "mongodb://here"


def test_the_keys_of_a_folder_are_tried_in_order(tmp_path: Path) -> None:
    (tmp_path / KEYS[2]).write_text("mongodb://last")
    assert UriSource(SecretFile(str(tmp_path), KEYS)).read() == "mongodb://last"

    (tmp_path / KEYS[0]).write_text("mongodb://first")
    assert UriSource(SecretFile(str(tmp_path), KEYS)).read() == "mongodb://first"


def test_a_file_that_is_not_there_is_a_secret_that_is_not_there(tmp_path: Path) -> None:
    assert missing(UriSource(SecretFile(str(tmp_path / "uri"), KEYS))) == "SecretNotFound"


def test_an_empty_volume_is_a_secret_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "..data").mkdir()

    assert missing(UriSource(SecretFile(str(tmp_path), KEYS))) == "SecretNotFound"


def test_a_folder_with_other_keys_lacks_the_key(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("mongodb://here")

    assert missing(UriSource(SecretFile(str(tmp_path), KEYS))) == "SecretKeyMissing"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"], ids=["empty", "blank", "no text"])
def test_a_key_without_a_uri_lacks_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "uri").write_bytes(content)

    assert missing(UriSource(SecretFile(str(tmp_path), KEYS))) == "SecretKeyMissing"
    assert missing(UriSource(SecretFile(str(tmp_path / "uri"), KEYS))) == "SecretKeyMissing"


def test_a_file_is_looked_at_again_after_a_second(tmp_path: Path) -> None:
    path, clock = tmp_path / "uri", Clock()
    source = UriSource(SecretFile(str(path), KEYS), clock)
    assert missing(source) == "SecretNotFound"
    path.write_text("mongodb://new")

    clock.seconds += CHECK_SECONDS - 0.001
    assert missing(source) == "SecretNotFound"
    clock.seconds += 0.001
    assert source.read() == "mongodb://new"

    path.unlink()
    assert source.read() == "mongodb://new"
    clock.seconds += CHECK_SECONDS
    assert missing(source) == "SecretNotFound"
