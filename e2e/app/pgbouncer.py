"""PgBouncer before a PostgreSQL server, for tests."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from typing import Final

from e2e.app.databases import DATABASE, HOST, Database, NotInstalled

_SETTINGS: Final = (
    *("auth_type = trust", "auth_file = users", "unix_socket_dir =", "max_client_conn = 200"),
    # A server that comes back is found at once, and not after the 15 s of the default.
    "server_login_retry = 0.2",
)

TRANSACTION: Final = ("pool_mode = transaction", "server_round_robin = 1", "min_pool_size = 4")
"""Whoever begins a transaction gets another process of the server than before."""


class PgBouncer(Database):
    """PgBouncer, by its defaults; the port of its server comes first, settings follow."""

    packages = "pgbouncer"
    scheme = "postgresql"
    # At once, and not when everybody has gone.
    stop_signal = signal.SIGTERM

    def make(self) -> None:
        server, *settings = self._options
        listen = (f"listen_addr = {HOST}", f"listen_port = {self.port}")
        lines = (
            "[databases]",
            f"* = host={HOST} port={server}",
            "[pgbouncer]",
            *(*listen, *_SETTINGS, *settings),
        )
        (self._folder / "ini").write_text("\n".join(lines) + "\n")
        (self._folder / "users").write_text(f'"{DATABASE}" ""\n')
        # It refuses to run as root.
        self._give_folder("postgres")

    def command(self) -> Sequence[str]:
        program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        if program is None:
            raise NotInstalled(f"pgbouncer is not here: `apt install {self.packages}`")
        return (program, str(self._folder / "ini"))
