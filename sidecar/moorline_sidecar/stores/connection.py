"""What a store makes its calls through, replaced when the connection URI changes.

So it is when a file changes that the URI names, such as a certificate that was renewed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Generic, Protocol, TypeVar

from moorline_sidecar.errors import ConfigurationError
from moorline_sidecar.stores.tls_files import Files, files_of
from moorline_sidecar.stores.uri_source import UriMissing


class Closable(Protocol):
    """A driver's client, or its pools."""

    async def close(self) -> None: ...


ClientT = TypeVar("ClientT", bound=Closable)


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


class _Lease(Generic[ClientT]):
    def __init__(self, uri: str, files: Files, client: ClientT) -> None:
        self.uri = uri
        self.files = files
        self.client = client
        self.users = 0
        self.is_retired = False

    async def close_if_unused(self) -> None:
        if self.is_retired and not self.users:
            await self.client.close()


class UriConnection(Generic[ClientT]):
    """The client for the URI as it is now; one that is replaced finishes what it is doing."""

    def __init__(self, source: Source, opener: Callable[[str], ClientT]) -> None:
        """Raises ConfigurationError if there is a URI already, and it is of no use."""
        self._source = source
        self._opener = opener
        self._lease: _Lease[ClientT] | None = None
        with suppress(UriMissing):
            uri = source.read()
            # What changes while it is opened is opened anew.
            self._lease = _Lease(uri, files_of(uri), opener(uri))

    @property
    def client(self) -> ClientT | None:
        """That of the next use, once there has been a URI."""
        return None if self._lease is None else self._lease.client

    @asynccontextmanager
    async def use(self) -> AsyncIterator[ClientT]:
        """Raises UriMissing while there is no URI that can be used."""
        lease = self._lease
        if lease is None:
            lease = self._lease = self._open(self._source.read())
        lease.users += 1
        try:
            yield lease.client
        finally:
            lease.users -= 1
            await lease.close_if_unused()

    async def refresh(self, failed: ClientT | None) -> bool:
        """Whether the next use is of another client than the one that failed."""
        before = self._lease
        if before is None or before.client is not failed:
            return before is not None and failed is not None
        try:
            uri = self._source.read()
            if uri == before.uri and files_of(uri) == before.files:
                return False
            self._lease = self._open(uri)
        except UriMissing:
            # Somebody is replacing it; what worked so far may still do.
            return False
        before.is_retired = True
        await before.close_if_unused()
        return True

    async def close(self) -> None:
        if self._lease is not None:
            await self._lease.client.close()

    def _open(self, uri: str) -> _Lease[ClientT]:
        try:
            return _Lease(uri, files_of(uri), self._opener(uri))
        except ConfigurationError as error:
            raise UriMissing("SecretKeyMissing", str(error)) from None
