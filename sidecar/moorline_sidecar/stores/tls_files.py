"""Files of certificates and keys that a connection URI names in its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qsl

from moorline_sidecar.stores.uri_source import UriMissing

Files: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Path, inode, size and time of the last change."""


def options_of(uri: str) -> list[tuple[str, str]]:
    """The options behind the `?` of a URI, with their values."""
    return parse_qsl(uri.partition("?")[2])


def files_of(uri: str) -> Files:
    """The files that the URI names in its options, as they are now; without those that are not."""
    found = []
    for path in sorted({value for _, value in options_of(uri)}):
        with suppress(OSError, ValueError):
            status = Path(path).stat()
            found.append((path, status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)


@contextmanager
def read_for(*options: str) -> Iterator[None]:
    """What fails within fails by the files of these options.

    Raises:
        UriMissing: `TLSFailed`, with the options' names; the files may come later, as the URI may.
    """
    try:
        yield
    except OSError as error:  # An SSLError is one.
        named = " or ".join(options)
        why = f"the file of its option {named} cannot be used ({error.strerror})"
        raise UriMissing("TLSFailed", f"the connection URI cannot be used: {why}") from None


def check_files(files: Mapping[str, str]) -> None:
    """Whether these paths, by the options that name them, can be read.

    Raises:
        UriMissing: as `read_for`.
    """
    for option, path in files.items():
        with read_for(option):
            Path(path).open("rb").close()
