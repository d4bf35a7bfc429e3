"""The requests of a load, in a file that every load generator reads."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from msgspec import Struct

BETWEEN_HEADERS: Final = "|"


class Shot(Struct, frozen=True):
    """A request of the load, and how its answer is known; `id` None: by the length alone.

    `headers` are `Name: value`, other than `Host` and `Content-Length`.
    """

    path: str
    length: int
    id: str | None = None
    headers: tuple[str, ...] = ()
    method: str = "GET"
    body: str = ""

    def line(self) -> str:
        headers = BETWEEN_HEADERS.join(self.headers)
        fields = (self.method, self.path, headers, self.id or "-", str(self.length), self.body)
        return "\t".join(fields)

    def request(self) -> bytes:
        """As it goes over the wire."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: localhost", *self.headers]
        if self.body:
            lines.append(f"Content-Length: {len(self.body.encode())}")
        return "\r\n".join([*lines, "", self.body]).encode()

    def is_answered_by(self, body: bytes) -> bool:
        is_own = self.id is None or body.startswith(b'{"id":"%s"' % self.id.encode())
        return is_own and len(body) == self.length


def hint_header(hint: str) -> tuple[str, ...]:
    """As an adapter sends it."""
    return (f"Moorline-Hint: {hint}",)


def write_shots(file: Path, shots: Iterable[Shot]) -> Path:
    file.write_text("".join(f"{shot.line()}\n" for shot in shots), encoding="utf-8")
    return file


def read_shots(file: Path) -> list[Shot]:
    return [_shot(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _shot(line: str) -> Shot:
    method, path, headers, name, length, body = line.split("\t")
    each = tuple(headers.split(BETWEEN_HEADERS)) if headers else ()
    return Shot(path, int(length), None if name == "-" else name, each, method, body)
