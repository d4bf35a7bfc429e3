"""Servers of the tests get ports of their own."""

import socket
from contextlib import ExitStack, suppress

from e2e.ports import free_port, part_of


def test_no_port_is_given_twice() -> None:
    ports = [free_port() for _ in range(1_000)]

    assert len(set(ports)) == 1_000


def test_processes_side_by_side_have_ports_of_their_own() -> None:
    ports = range(12_000, 30_000)
    one, other = (
        part_of(ports, {"PYTEST_XDIST_WORKER": f"gw{number}", "PYTEST_XDIST_WORKER_COUNT": "2"})
        for number in range(2)
    )

    assert not set(one) & set(other)
    assert {*one, *other} == set(ports) == set(part_of(ports, {}))


def test_a_port_that_somebody_listens_on_is_passed_by() -> None:
    taken = free_port() + 1
    with ExitStack() as stack:
        with suppress(OSError):  # somebody else does already
            stack.enter_context(socket.create_server(("127.0.0.1", taken)))
        assert free_port() != taken


def test_a_port_is_none_that_the_kernel_would_give() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        given: int = listener.getsockname()[1]
        # Machines that hand out nearly all of them leave no better choice.
        assert free_port() < given or given < 30_000
