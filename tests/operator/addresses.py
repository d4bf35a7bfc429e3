"""Where a test of this machine can be found by its API server."""

import socket

import pytest


def own_address() -> str:
    """This machine's own; endpoints of a Service must not be on the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        try:
            # Nothing is sent: it only makes the system choose the address it would send from.
            unused.connect(("203.0.113.1", 9))
        except OSError:
            pytest.skip("this machine has no address but the loopback")
        address: str = unused.getsockname()[0]
    return address
