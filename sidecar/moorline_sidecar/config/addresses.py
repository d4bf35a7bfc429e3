"""Addresses to listen on, as people write them: `host:port`, `:port`, `[::1]:7070`."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

_ADDRESS: Final = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]\s]*)):(?P<port>\d{1,5})\Z"
)
_PORT_MAX: Final = 65_535


class Address(Struct, frozen=True):
    """Where to listen: an empty `host` is every address of both families, `port` 0 a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """The address that `text` writes.

    Raises:
        ValueError: with a sentence that says what to write instead.
    """
    match = _ADDRESS.match(text)
    if match is None or int(match["port"]) > _PORT_MAX:
        raise ValueError(
            f"{text!r} is no address; write host:port, [::1]:port, or :port for all addresses"
        )
    return Address(match["ipv6"] or match["host"] or "", int(match["port"]))
