"""Ports of this machine for servers that are told where to listen, and may be started again."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_HOST: Final = "127.0.0.1"

_FIRST: Final = 12_000
"""Above those that parts of Kubernetes listen on."""
_LAST: Final = 29_999
"""Below those that Kubernetes gives to Services, and systems to connections."""
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FEWEST: Final = 5_000
_PARTS: Final = 4
"""At most, or there would be too few in each."""


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
    ports = part_of(range(_FIRST, _last() + 1), os.environ)
    return itertools.islice(itertools.cycle(ports), secrets.randbelow(len(ports)), None)


def part_of(ports: range, environment: Mapping[str, str]) -> range:
    """Those of this process: each of pytest-xdist has a part, and what it starts has the same.

    They go at different speeds. Who overtakes another one gets the port that this one was given
    a moment ago, or whose server it has stopped for a moment.
    """
    parts = min(int(environment.get("PYTEST_XDIST_WORKER_COUNT", "1")), _PARTS)
    number = int(environment.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % parts
    length = len(ports) // parts
    return ports[number * length : (number + 1) * length]


def _last() -> int:
    try:
        first_ephemeral = int(_EPHEMERAL.read_text().split()[0])
    except OSError:
        return _LAST
    # Some machines hand out nearly all of them; then there is no better choice.
    return min(_LAST, first_ephemeral - 1) if first_ephemeral > _FIRST + _FEWEST else _LAST


_walk: Final = _walked()
