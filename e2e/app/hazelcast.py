"""Hazelcast members of one's own, for the demo and for tests."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from e2e.app.databases import HOST, Database, NotInstalled
from e2e.app.jars import HAZELCAST, PACKAGES, NotThere, found

CLUSTER: Final = "moorline"
"""The name of the cluster: whoever gives another is turned away."""

GUARDED: Final = "guarded"
"""A map that serves nobody while fewer than two members see each other."""

_STARTED: Final = "is STARTED"

# JSON is YAML. A member joins those whose ports it is told, and finds nobody else.
_CONFIGURATION: Final = """
hazelcast:
  cluster-name: {cluster}
  properties:
    hazelcast.phone.home.enabled: "false"
    hazelcast.logging.type: jdk
    hazelcast.partition.count: "31"
    hazelcast.operation.thread.count: "2"
    hazelcast.socket.bind.any: "false"
    hazelcast.wait.seconds.before.join: "0"
    hazelcast.max.join.seconds: "10"
  jet: {{enabled: false}}
  network:
    port: {{port: {port}, auto-increment: false}}
    public-address: {host}:{port}
    interfaces: {{enabled: true, interfaces: [{host}]}}
    join:
      auto-detection: {{enabled: false}}
      multicast: {{enabled: false}}
      tcp-ip: {{enabled: true, member-list: {members}}}
  split-brain-protection:
    majority: {{enabled: true, minimum-cluster-size: 2, protect-on: READ_WRITE}}
  map:
    {guarded}: {{split-brain-protection-ref: majority}}
"""


class HazelcastMember(Database):
    """A member of a cluster, which has its data in memory alone; `options` are those of Java."""

    packages = PACKAGES
    scheme = "hazelcast"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, *options)
        self.ports: tuple[int, ...] = (self.port,)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.address}"

    def make(self) -> None:
        if shutil.which("java") is None:
            raise NotInstalled(f"java is not here: `apt install {self.packages}`")
        try:
            found(HAZELCAST)
        except NotThere as error:
            raise NotInstalled(str(error)) from error

    def command(self) -> Sequence[str]:
        return (
            *("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *self._options,
            f"-Dhazelcast.config={self._folder / 'hazelcast.yaml'}",
            *("-cp", str(found(HAZELCAST)), "com.hazelcast.core.server.HazelcastMemberStarter"),
        )

    def start(self) -> None:
        members = [f"{HOST}:{port}" for port in self.ports]
        text = _CONFIGURATION.format(
            cluster=CLUSTER, guarded=GUARDED, host=HOST, port=self.port, members=members
        )
        (self._folder / "hazelcast.yaml").write_text(text)
        (self._folder / "log").write_text("")
        super().start()

    def is_ready(self) -> bool:
        # Before, it takes connections and lets them wait.
        return _STARTED in (self._folder / "log").read_text()


@contextmanager
def running_members(number: int, *options: str) -> Iterator[list[HazelcastMember]]:
    """Members of one cluster, ended afterwards.

    Raises:
        NotInstalled: they are not on this machine.
        RuntimeError: one does not start.
    """
    with ExitStack() as stack:
        members = []
        for _ in range(number):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="moorline-hazelcast-"))
            members.append(HazelcastMember(Path(folder), *options))
        for member in members:
            member.ports = tuple(each.port for each in members)
            member.make()
        for member in members:
            # One that was killed has nothing to end.
            stack.callback(member.stop)
            member.start()
        yield members
