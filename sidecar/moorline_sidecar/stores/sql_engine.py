"""The engines of the current connection URI, and how they are replaced when it changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.sql_dialects import Dialect
from moorline_sidecar.stores.uri_source import UriMissing


class Source(Protocol):
    """Where the URI comes from."""

    def read(self) -> str:
        """Raises UriMissing while there is none."""


class FixedSource:
    """A URI, or a path, that stays as it is."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def read(self) -> str:
        return self._uri


class Engines:
    """Two pools of one URI: for calls that somebody waits for, and for those that may take long."""

    def __init__(self, dialect: Dialect, uri: str) -> None:
        """Raises ConfigurationError if the URI is of no use."""
        self.uri = uri
        self.calls: AsyncEngine = dialect.engine(uri)
        self.slow: AsyncEngine = dialect.engine(uri, is_slow=True)
        self.users = 0
        self.is_retired = False

    async def close_if_unused(self) -> None:
        if self.is_retired and not self.users:
            await self.close()

    async def close(self) -> None:
        await self.calls.dispose()
        await self.slow.dispose()


class Connection:
    """The engines for the URI as it is now; those that are replaced finish what they are doing."""

    def __init__(self, dialect: Dialect, source: Source) -> None:
        """Raises ConfigurationError if there is a URI already, and it is of no use."""
        self._dialect = dialect
        self._source = source
        self._engines: Engines | None = None
        with suppress(UriMissing):
            self._engines = Engines(dialect, source.read())

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Engines]:
        """Raises UriMissing while there is no URI that can be used."""
        engines = self._engines
        if engines is None:
            engines = self._engines = self._open(self._source.read())
        engines.users += 1
        try:
            yield engines
        finally:
            engines.users -= 1
            await engines.close_if_unused()

    async def refresh(self, failed: Engines | None) -> bool:
        """Whether the next use is of other engines than those that failed."""
        before = self._engines
        if before is None or before is not failed:
            return before is not None and failed is not None
        try:
            uri = self._source.read()
            if uri == before.uri:
                return False
            self._engines = self._open(uri)
        except UriMissing:
            # Somebody is replacing it; what worked so far may still do.
            return False
        before.is_retired = True
        await before.close_if_unused()
        return True

    async def close(self) -> None:
        if self._engines is not None:
            await self._engines.close()

    def _open(self, uri: str) -> Engines:
        try:
            return Engines(self._dialect, uri)
        except ConfigurationError as error:
            raise UriMissing("SecretKeyMissing", str(error)) from None
