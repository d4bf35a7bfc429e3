"""An Infinispan server of one's own, for the demo and for tests."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from moorline_sidecar.stores.infinispan_client import Client
from moorline_sidecar.stores.infinispan_errors import CALL_ERRORS
from moorline_sidecar.stores.infinispan_wire import ping

from e2e.app.databases import DATABASE, HOST, START_SECONDS, Database, NotInstalled
from e2e.app.jars import INFINISPAN, PACKAGES, NotThere, found
from e2e.ports import free_port

SECOND_USER: Final = "second"
"""Another user with all rights, with the name as the password, for whoever changes theirs."""

_STARTED: Final = "ISPN080001"

_CONFIGURATION: Final = """\
<infinispan xmlns="urn:infinispan:config:16.0">
  {stack}
  <cache-container name="default" statistics="false">
    {transport}
    <security><authorization><cluster-role-mapper/></authorization></security>
  </cache-container>
  <server xmlns="urn:infinispan:server:16.0">
    <interfaces>
      <interface name="public"><inet-address value="{host}"/></interface>
    </interfaces>
    <socket-bindings default-interface="public" port-offset="0">
      <socket-binding name="default" port="{port}"/>
    </socket-bindings>
    <security>
      <security-realms>
        <security-realm name="default">
          <properties-realm groups-attribute="Roles">
            <user-properties path="users.properties" plain-text="true"/>
            <group-properties path="groups.properties"/>
          </properties-realm>
        </security-realm>
      </security-realms>
    </security>
    <endpoints socket-binding="default" security-realm="default">
      <endpoint>
        <hotrod-connector>
          <authentication>
            <sasl server-name="infinispan" mechanisms="SCRAM-SHA-512 SCRAM-SHA-256"/>
          </authentication>
        </hotrod-connector>
        <rest-connector/>
      </endpoint>
    </endpoints>
  </server>
</infinispan>
"""

# A member asks those whose ports it is told, and finds nobody else.
_STACK: Final = """
  <jgroups>
    <stack name="members" extends="tcp">
      <TCPPING initial_hosts="{members}" port_range="0"
               stack.combine="REPLACE" stack.position="MPING"/>
    </stack>
  </jgroups>
"""
_TRANSPORT: Final = '<transport cluster="moorline" stack="members"/>'

_LOGGING: Final = """\
<Configuration name="moorline" shutdownHook="disable">
  <Appenders><Console name="console"><PatternLayout pattern="%d %-5p %m%n"/></Console></Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


class InfinispanServer(Database):
    """Alone, or with others where it is given their `members`; `options` are those of Java."""

    packages = PACKAGES
    scheme = "hotrod"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, *options)
        self.inner_port = free_port()
        self.members: tuple[int, ...] = ()
        """The inner ports of all, with its own."""

    def uri_of(self, user: str, password: str, port: int | None = None) -> str:
        return f"{self.scheme}://{user}:{password}@{HOST}:{port or self.port}"

    def make(self) -> None:
        if shutil.which("java") is None:
            raise NotInstalled(f"java is not here: `apt install {self.packages}`")
        try:
            found(INFINISPAN)
        except NotThere as error:
            raise NotInstalled(str(error)) from error
        files = {
            "infinispan.xml": self._configuration(),
            "log4j2.xml": _LOGGING,
            "users.properties": "".join(f"{user}={user}\n" for user in (DATABASE, SECOND_USER)),
            "groups.properties": "".join(f"{user}=admin\n" for user in (DATABASE, SECOND_USER)),
        }
        for name in ("conf", "lib"):
            (self._folder / name).mkdir()
        for name, text in files.items():
            (self._folder / "conf" / name).write_text(text)

    def command(self) -> Sequence[str]:
        return (
            *("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *self._options,
            f"-Dinfinispan.server.home.path={self._folder}",
            *(f"-Djgroups.bind.address={HOST}", f"-Djgroups.bind.port={self.inner_port}"),
            *("-cp", f"{found(INFINISPAN)}/*", "org.infinispan.server.Bootstrap"),
            *("-s", str(self._folder), "-c", "infinispan.xml"),
        )

    def start(self) -> None:
        (self._folder / "log").write_text("")
        super().start()
        with ThreadPoolExecutor(1) as thread:
            # In this one there may be a loop already.
            thread.submit(lambda: asyncio.run(_until_it_knows_us(self.uri))).result()

    def _configuration(self) -> str:
        members = ",".join(f"{HOST}[{port}]" for port in self.members)
        return _CONFIGURATION.format(
            host=HOST,
            port=self.port,
            stack=_STACK.format(members=members) if members else "",
            transport=_TRANSPORT if members else "",
        )

    def is_ready(self) -> bool:
        # Before, it takes connections and turns them away.
        return _STARTED in (self._folder / "log").read_text()


@contextmanager
def running_cluster(number: int) -> Iterator[list[InfinispanServer]]:
    """Servers of one cluster, ended afterwards.

    Raises:
        NotInstalled: they are not on this machine.
        RuntimeError: one does not start.
    """
    with ExitStack() as stack:
        servers = []
        for _ in range(number):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="moorline-infinispan-"))
            servers.append(InfinispanServer(Path(folder)))
        for server in servers:
            server.members = tuple(each.inner_port for each in servers)
            server.make()
        for server in servers:
            # One that was killed has nothing to end.
            stack.callback(server.stop)
            server.start()
        yield servers


async def _until_it_knows_us(uri: str) -> None:
    """The first logins to a server that has just started take seconds."""
    client = Client(uri)
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                async with client.lease() as connection:
                    await connection.ask(ping(""))
            except CALL_ERRORS:
                continue
            break
    await client.close()
