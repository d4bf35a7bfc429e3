"""Ports of this machine for servers that are told where to listen, and may be started again."""

from __future__ import annotations

import itertools
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_HOST: Final = "127.0.0.1"

_FIRST: Final = 12_000
"""Above those that parts of Kubernetes listen on."""
_LAST: Final = 29_999
"""Below those that Kubernetes gives to Services, and systems to connections."""
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FEWEST: Final = 5_000


def free_port() -> int:
    """A TCP port that nothing listens on, and that stays free while its server is stopped.

    Each call gives another one. The ports that the kernel gives do not: of three that are asked
    for before the first is used, two are the same in one of 4,000 times, and others are given
    what is not used for a moment. So is a client that tries to connect to the stopped server, and
    then is connected to itself.
    """
    for port in _walk:
        try:
            socket.create_server((_HOST, port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("the walk ends")


def _walked() -> Iterator[int]:
    """Round and round, from anywhere: two processes hardly come to one port in one moment.

    Not by the module `random`: tests in two processes begin it with the same seed.
    """
    ports = range(_FIRST, _last() + 1)
    return itertools.islice(itertools.cycle(ports), secrets.randbelow(len(ports)), None)


def _last() -> int:
    try:
        first_ephemeral = int(_EPHEMERAL.read_text().split()[0])
    except OSError:
        return _LAST
    # Some machines hand out nearly all of them; then there is no better choice.
    return min(_LAST, first_ephemeral - 1) if first_ephemeral > _FIRST + _FEWEST else _LAST


_walk: Final = _walked()
