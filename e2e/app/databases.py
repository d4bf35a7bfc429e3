"""PostgreSQL, MariaDB, Redis and memcached servers of one's own, for the demo and for tests.

Each keeps its data in a folder, listens on a free port of the loopback interface, and runs as a
user without rights where we are root, as both insist on.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from e2e.ports import free_port

HOST: Final = "127.0.0.1"
DATABASE: Final = "moorline"
"""The name of the database, and of its user."""

START_SECONDS: Final = 180.0  # a JVM on a machine on which much else runs
STOP_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.05
CONNECT_SECONDS: Final = 1.0


class NotInstalled(Exception):
    """A program is not here; the text says which package has it."""


class Database:
    """A server that can be ended, or killed, and started again on the same data and port.

    `packages` are Debian's.
    """

    packages: str
    scheme: str
    stop_signal: signal.Signals

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._user: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def pid(self) -> int | None:
        """Of its process, while one runs."""
        return None if self._process is None else self._process.pid

    @property
    def uri(self) -> str:
        return self.uri_of(DATABASE, DATABASE)

    def uri_of(self, user: str, password: str, port: int | None = None) -> str:
        return f"{self.scheme}://{user}:{password}@{HOST}:{port or self.port}/{DATABASE}"

    def make(self) -> None:
        """Make the data folder.

        Raises:
            NotInstalled: there is no such server on this machine.
            CalledProcessError: it could not be made.
        """
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        return _is_answering(self.port)

    def start(self) -> None:
        """Start it, and wait until it takes connections.

        Raises:
            RuntimeError: it ends, or does not take any.
        """
        with (self._folder / "log").open("ab") as log:
            self._process = self._popen(self.command(), log.fileno())
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it does not start:\n{(self._folder / 'log').read_text()}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End it in good order, or by force after 30 s."""
        process = self._process
        if process is None:
            return
        process.send_signal(self.stop_signal)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it as a crash would, with the processes that it has started."""
        process, self._process = self._process, None
        if process is None:
            return
        started = _children(process.pid)
        process.kill()
        process.wait(STOP_SECONDS)
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + STOP_SECONDS
        while any(Path(f"/proc/{pid}").exists() for pid in started):
            if time.monotonic() > deadline:
                raise RuntimeError("it does not end")
            time.sleep(POLL_SECONDS)

    def pause(self) -> None:
        """Have it hang until `resume`, with its connections open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None  # noqa: S101 - it runs
        self._process.send_signal(number)  # Once it is stopped, it starts no other ones.
        for pid in _children(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _run(self, *command: str) -> None:
        with (self._folder / "log").open("ab") as log:
            process = self._popen(command, log.fileno())
        if process.wait() != 0:
            raise RuntimeError((self._folder / "log").read_text())

    def _popen(self, command: Sequence[str], log: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - named in full view
            command,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for us.
            start_new_session=True,
        )

    def _give_folder(self, *users: str) -> None:
        """Let the server's user own the folder, where we are root."""
        if os.getuid() != 0:
            return
        self._user = next((user for user in users if _exists(user)), "nobody")
        entry = pwd.getpwnam(self._user)
        os.chown(self._folder, entry.pw_uid, entry.pw_gid)


DatabaseT = TypeVar("DatabaseT", bound=Database)


class PostgreSQLServer(Database):
    """PostgreSQL. It trusts whoever connects, as whatever user there is."""

    packages = "postgresql"
    scheme = "postgresql"
    # What it calls a fast shutdown: it does not wait for those who are connected.
    stop_signal = signal.SIGINT

    def make(self) -> None:
        self._give_folder("postgres")
        self._run(
            str(_postgresql("initdb")),
            *("-D", str(self._data), "-U", DATABASE, "--auth=trust", "--no-sync"),
            *("--encoding=UTF8", "--locale=C"),
        )
        self._make_database()

    def command(self) -> Sequence[str]:
        settings = (
            "unix_socket_directories=",
            f"listen_addresses={HOST}",
            "shared_buffers=32MB",
            *self._options,
        )
        return (
            *(str(_postgresql("postgres")), "-D", str(self._data), "-p", str(self.port)),
            *(word for setting in settings for word in ("-c", setting)),
        )

    def is_ready(self) -> bool:
        # Before, it takes connections to say that it starts up.
        try:
            status = (self._data / "postmaster.pid").read_text().split()[-1:]
        except FileNotFoundError:
            return False
        return status == ["ready"] and super().is_ready()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _make_database(self) -> None:
        """By the server in its mode for one user, which needs nobody to connect."""
        process = subprocess.run(  # noqa: S603 - named in full view
            (str(_postgresql("postgres")), "--single", "-D", str(self._data), "postgres"),
            input=f"CREATE DATABASE {DATABASE}\n".encode(),
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            capture_output=True,
            check=False,
        )
        if process.returncode != 0:
            raise RuntimeError(process.stderr.decode())


class MariaDBServer(Database):
    """MariaDB."""

    packages = "mariadb-server"
    scheme = "mysql"
    stop_signal = signal.SIGTERM

    def make(self) -> None:
        self._give_folder("mysql")
        self._run(
            _found("mariadb-install-db", self.packages),
            *("--no-defaults", f"--datadir={self._data}", "--skip-test-db"),
            "--auth-root-authentication-method=normal",
        )
        (self._folder / "users.sql").write_text(
            f"CREATE DATABASE IF NOT EXISTS {DATABASE};\n"
            f"CREATE USER IF NOT EXISTS '{DATABASE}'@'%' IDENTIFIED BY '{DATABASE}';\n"
            f"GRANT ALL ON *.* TO '{DATABASE}'@'%' WITH GRANT OPTION;\n"
        )

    def command(self) -> Sequence[str]:
        return (
            *(_found("mariadbd", self.packages), "--no-defaults", f"--datadir={self._data}"),
            *(f"--bind-address={HOST}", f"--port={self.port}"),
            *(f"--socket={self._folder / 'socket'}", f"--init-file={self._folder / 'users.sql'}"),
            *("--innodb-buffer-pool-size=64M", "--performance-schema=OFF", *self._options),
        )

    @property
    def _data(self) -> Path:
        return self._folder / "data"


class RedisServer(Database):
    """Redis. What it acknowledges is on the disk, unless an option says otherwise."""

    packages = "redis-server"
    scheme = "redis"
    stop_signal = signal.SIGTERM

    @property
    def uri(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def uri_of(self, user: str, password: str, port: int | None = None) -> str:
        return f"{self.scheme}://{user}:{password}@{HOST}:{port or self.port}/0"

    def make(self) -> None:
        _found("redis-server", self.packages)

    def command(self) -> Sequence[str]:
        return (
            *(_found("redis-server", self.packages), "--bind", HOST, "--port", str(self.port)),
            *("--dir", str(self._folder), "--save", "", "--appendonly", "yes"),
            *("--appendfsync", "always", *self._options),
        )


class RedisSentinel(Database):
    """A Sentinel that watches the primary on the port of its only option, alone."""

    packages = "redis-server"
    scheme = "redis+sentinel"
    stop_signal = signal.SIGTERM

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{HOST}:{self.port}/{DATABASE}"

    def make(self) -> None:
        (primary,) = self._options
        (self._folder / "sentinel.conf").write_text(
            f"bind {HOST}\nport {self.port}\n"
            f"sentinel monitor {DATABASE} {HOST} {primary} 1\n"
            f"sentinel down-after-milliseconds {DATABASE} 3000\n"
            f"sentinel failover-timeout {DATABASE} 3000\n"
        )

    def command(self) -> Sequence[str]:
        program = _found("redis-server", self.packages)
        return program, str(self._folder / "sentinel.conf"), "--sentinel"


class MemcachedServer(Database):
    """memcached, which keeps nothing in its folder."""

    packages = "memcached"
    scheme = "memcached"
    stop_signal = signal.SIGTERM

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def make(self) -> None:
        self._give_folder("memcache")

    def command(self) -> Sequence[str]:
        return (
            *(_found("memcached", self.packages), "-l", HOST, "-p", str(self.port), "-m", "64"),
            *("-t", "1", *self._options),
        )


@contextmanager
def running(kind: type[DatabaseT], *options: str, port: int | None = None) -> Iterator[DatabaseT]:
    """A running server, whose data are gone afterwards; `port` in place of any that is free.

    Raises:
        NotInstalled: it is not on this machine.
        RuntimeError: it does not start.
    """
    # The path of a socket has a hundred characters at most.
    folder = Path(tempfile.mkdtemp(prefix="moorline-db-"))
    server = kind(folder, *options)
    server.port = port or server.port
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _postgresql(program: str) -> Path:
    """Debian keeps those of each version in a folder of its own, off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"), key=_version)
    return found[-1] if found else Path(_found(program, PostgreSQLServer.packages))


def _version(program: Path) -> float:
    with suppress(ValueError):
        return float(program.parents[1].name)
    return 0.0


def _found(program: str, packages: str) -> str:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise NotInstalled(f"{program} is not here: `apt install {packages}`")
    return found


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in parentheses, may hold anything.
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def _is_answering(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
