"""What comes on a connection: hits go past the transport, and all else takes the long way."""

import contextlib
import functools
import gc
import socket
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

import pytest
from moorline_sidecar.sessions.clock import ManualClock

from tests.sidecar.hot.test_hits import T0, Rig
from tests.sidecar.hot.test_names import name_of

HIT: Final = name_of(1)
OTHER: Final = name_of(2)
LARGE: Final = b'"%b"' % (b"x" * 4_000_000)
"""More than a socket takes at once."""


class Wired:
    """A receiver of a `Rig`'s hits, the other end of its socket, and a transport's notes."""

    def __init__(self, implementation: ModuleType, rig: Rig | None = None) -> None:
        self.rig = rig or Rig(implementation)
        self.flow = implementation.Flow()
        self.left: list[object] = []
        self.written = b""
        self.waits = 0
        """Bytes that the transport still has to send."""
        self.here, self.there = socket.socketpair()
        self.here.settimeout(0)
        self.receiver = implementation.Receiver(self.rig.hits.answer, self.flow, self.leave)
        self.receiver.connect(self.write, self.unsent, self.here.fileno())
        self.receiver.is_waiting = True

    def leave(self, data: bytes) -> None:
        self.left.append(data)

    def write(self, data: bytes) -> None:
        self.written += data

    def unsent(self) -> int:
        return self.waits

    def sent(self) -> bytes:
        """What came out at the other end."""
        self.there.settimeout(0)
        received = b""
        with contextlib.suppress(BlockingIOError):
            while piece := self.there.recv(1 << 20):
                received += piece
        return received

    def answer(self, implementation: ModuleType) -> bytes:
        answer: bytes = implementation.hit(self.rig.answer, self.rig.entry.times)
        return answer

    def facts(self) -> tuple[int, ...]:
        flow = self.flow
        return flow.received, flow.sent, flow.hits, self.receiver.hits, self.rig.standing.hits


@contextlib.contextmanager
def wired(implementation: ModuleType, rig: Rig | None = None) -> Iterator[Wired]:
    wired = Wired(implementation, rig)
    with wired.here, wired.there:
        yield wired


def test_whoever_is_not_waiting_gets_everything(implementation: ModuleType) -> None:
    with wired(implementation) as it:
        it.receiver.is_waiting = False

        it.receiver.receive(HIT)
        it.receiver.receive(OTHER)

        assert it.left == [HIT, OTHER]
        assert (it.sent(), it.written, it.facts()) == (b"", b"", (0, 0, 0, 0, 0))


def test_hits_go_past_the_transport_and_are_counted(compiled: ModuleType) -> None:
    with wired(compiled) as it:
        it.receiver.receive(HIT)
        it.receiver.receive(HIT)

        answer = it.answer(compiled)
        assert (it.sent(), it.written, it.left) == (2 * answer, b"", [])
        assert it.facts() == (2 * len(HIT), 2 * len(answer), 2, 2, 2)
        assert it.receiver.is_waiting


def test_what_is_no_sure_hit_is_left_until_the_connection_waits_again(compiled: ModuleType) -> None:
    with wired(compiled) as it:
        for data in (OTHER, b"", HIT[:-1], HIT + HIT):
            it.receiver.is_waiting = True
            it.receiver.receive(data)
            assert not it.receiver.is_waiting
            it.receiver.receive(HIT)

        assert it.left == [OTHER, HIT, b"", HIT, HIT[:-1], HIT, HIT + HIT, HIT]
        assert it.facts() == (0, 0, 0, 0, 0)


def test_a_named_answer_that_is_not_sure_is_left(compiled: ModuleType) -> None:
    with wired(compiled, Rig(compiled, calm_until=0)) as it:
        it.receiver.receive(HIT)

        assert (it.left, it.rig.asked, it.sent()) == ([HIT], [], b"")


@pytest.mark.parametrize("data", [bytearray(HIT), memoryview(HIT), "text", None])
def test_what_is_not_bytes_is_left(compiled: ModuleType, data: Any) -> None:  # noqa: ANN401
    with wired(compiled) as it:
        it.receiver.receive(data)

        assert it.left == [data]


def test_an_answer_keeps_its_place_behind_what_the_transport_has_to_send(
    compiled: ModuleType,
) -> None:
    with wired(compiled) as it:
        it.waits = 1
        it.receiver.receive(HIT)
        it.receiver.receive(HIT)
        assert (it.written, it.sent()) == (2 * it.answer(compiled), b"")

        it.waits = 0
        it.receiver.receive(HIT)
        assert (it.written, it.sent()) == (2 * it.answer(compiled), it.answer(compiled))


def test_whoever_was_left_something_may_have_written(compiled: ModuleType) -> None:
    with wired(compiled) as it:
        it.receiver.receive(HIT)
        it.receiver.receive(OTHER)
        it.waits, it.receiver.is_waiting = 1, True
        it.receiver.receive(HIT)

        assert (it.sent(), it.written) == (it.answer(compiled), it.answer(compiled))


def test_the_transport_gets_what_a_full_socket_does_not_take(compiled: ModuleType) -> None:
    with wired(compiled, Rig(compiled, attributes=LARGE)) as it:
        it.receiver.receive(HIT)
        it.waits = len(it.written)
        assert it.waits > 0
        it.receiver.receive(HIT)

        answer = it.answer(compiled)
        assert it.sent() + it.written == 2 * answer
        assert it.facts()[:3] == (2 * len(HIT), 2 * len(answer), 2)


def test_what_the_transport_still_has_to_send_is_not_overtaken(compiled: ModuleType) -> None:
    with wired(compiled, Rig(compiled, attributes=LARGE)) as it:
        it.receiver.receive(HIT)
        first = it.sent()  # there is room again, and the loop has not told the transport yet
        it.waits = len(it.written)
        it.receiver.receive(HIT)

        assert (first + it.written, it.sent()) == (2 * it.answer(compiled), b"")


def test_the_transport_finds_out_that_nobody_is_there(compiled: ModuleType) -> None:
    with wired(compiled) as it:
        it.there.close()
        it.receiver.receive(HIT)

        assert it.written == it.answer(compiled)


def test_without_a_socket_the_transport_writes(compiled: ModuleType) -> None:
    with wired(compiled) as it:
        it.receiver.connect(it.write, it.unsent, -1)
        it.receiver.receive(HIT)

        assert (it.written, it.sent()) == (it.answer(compiled), b"")


def test_before_there_is_a_transport_nothing_is_written(compiled: ModuleType) -> None:
    rig, left = Rig(compiled), list[bytes]()
    receiver = compiled.Receiver(rig.hits.answer, compiled.Flow(), left.append)
    receiver.is_waiting = True

    receiver.receive(HIT)
    receiver.receive(OTHER)

    assert left == [OTHER]


def test_another_way_of_answering_is_never_asked(compiled: ModuleType) -> None:
    with wired(compiled) as it:
        for quick in (lambda _: 1 // 0, it.rig.names.find, len):
            receiver = compiled.Receiver(quick, it.flow, it.leave)
            receiver.connect(it.write, it.unsent, it.here.fileno())
            receiver.is_waiting = True
            receiver.receive(HIT)

        assert (it.left, it.facts()) == ([HIT] * 3, (0, 0, 0, 0, 0))


def test_whoever_is_left_something_meets_the_error_of_the_clock(compiled: ModuleType) -> None:
    class Broken(ManualClock):
        def nanoseconds(self) -> int:
            return 1 // 0

    rig = Rig(compiled)
    rig.hits = rig.hits_by(Broken(T0))
    with wired(compiled, rig) as it:
        it.receiver.receive(HIT)

        assert (it.left, it.written, it.sent()) == ([HIT], b"", b"")


def test_whoever_interrupts_the_clock_is_heard(compiled: ModuleType) -> None:
    class Interrupted(ManualClock):
        def nanoseconds(self) -> int:
            raise KeyboardInterrupt

    rig = Rig(compiled)
    rig.hits = rig.hits_by(Interrupted(T0))
    with wired(compiled, rig) as it, pytest.raises(KeyboardInterrupt):
        it.receiver.receive(HIT)
    assert (it.left, it.written, it.facts()) == ([], b"", (0, 0, 0, 0, 0))


@pytest.mark.parametrize("which", ["write", "unsent", "on_other"])
def test_an_error_of_whom_it_calls_is_passed_on(compiled: ModuleType, which: str) -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError

    with wired(compiled) as it:
        calls = {"write": it.write, "unsent": it.unsent, "on_other": it.leave, which: fail}
        receiver = compiled.Receiver(it.rig.hits.answer, it.flow, calls["on_other"])
        sock = -1 if which == "write" else it.here.fileno()
        receiver.connect(calls["write"], calls["unsent"], sock)
        receiver.is_waiting = which != "on_other"

        with pytest.raises(ZeroDivisionError):
            receiver.receive(HIT)


def test_what_is_no_number_of_bytes_is_refused(compiled: ModuleType) -> None:
    with wired(compiled) as it:
        it.waits = "many"  # type: ignore[assignment] # that is what is tested
        with pytest.raises(TypeError):
            it.receiver.receive(HIT)


def test_whoever_is_closed_drops_what_still_comes(implementation: ModuleType) -> None:
    with wired(implementation) as it:
        for _ in range(2):
            it.receiver.close()
            it.receiver.receive(HIT)
            it.receiver.receive(OTHER)

        assert (it.left, it.sent(), it.written) == ([], b"", b"")
        assert not it.receiver.is_waiting


def test_it_may_be_closed_at_any_time(compiled: ModuleType) -> None:
    class Closing(ManualClock):
        def nanoseconds(self) -> int:
            it.receiver.close()
            return super().nanoseconds()

    rig = Rig(compiled)
    rig.hits = rig.hits_by(Closing(T0))
    with wired(compiled, rig) as it:
        it.receiver.receive(HIT)
        assert (it.written, it.sent()) == (b"", b"")
        it.receiver.receive(HIT)
        assert it.left == []

    with wired(compiled) as closed:
        closed.waits = 1

        def write(_: bytes) -> None:
            closed.receiver.close()

        def unsent() -> int:
            closed.receiver.close()
            return 0

        def leave(_: bytes) -> None:
            closed.receiver.close()

        for calls in ((write, closed.unsent, leave), (closed.write, unsent, leave)):
            closed.receiver = compiled.Receiver(closed.rig.hits.answer, closed.flow, calls[2])
            closed.receiver.connect(*calls[:2], closed.here.fileno())
            closed.receiver.is_waiting = True
            closed.receiver.receive(HIT)
            closed.receiver.receive(OTHER)
        assert (closed.written, closed.sent()) == (b"", b"")


@pytest.mark.parametrize("which", ["write", "unsent", "on_other"])
def test_whom_it_calls_it_holds_until_it_returns(compiled: ModuleType, which: str) -> None:
    were_held: list[bool] = []

    def close(*_: object) -> int:
        it.receiver.close()
        were_held.append(called() is not None)
        return 0

    with wired(compiled) as it:
        closing = functools.partial(close)  # unlike a function's, its call does not hold it
        called = weakref.ref(closing)
        calls = {"write": it.write, "unsent": it.unsent, "on_other": it.leave, which: closing}
        it.receiver = compiled.Receiver(it.rig.hits.answer, it.flow, calls["on_other"])
        sock = -1 if which == "write" else it.here.fileno()
        it.receiver.connect(calls["write"], calls["unsent"], sock)
        it.receiver.is_waiting = which != "on_other"
        del closing, calls
        it.receiver.receive(HIT)

    assert were_held == [True]


def test_it_goes_with_its_connection(implementation: ModuleType) -> None:
    class Connection:
        def __init__(self) -> None:
            hits = Rig(implementation).hits.answer
            self.receiver = implementation.Receiver(hits, implementation.Flow(), self.take)
            self.receiver.connect(self.take, self.unsent, -1)
            self.receive = self.receiver.receive

        def take(self, _: bytes) -> None: ...

        def unsent(self) -> int:
            return 0

    gone = weakref.ref(Connection())
    gc.collect()

    assert gone() is None
