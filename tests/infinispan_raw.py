"""An Infinispan server without the store: for tests that look, or tidy up, behind its back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.infinispan_client import Client, Connection
from moorline_sidecar.stores.infinispan_errors import ServerError

_CLEAR: Final = 0x13


@asynccontextmanager
async def raw_connection(uri: str) -> AsyncIterator[Connection]:
    client = Client(uri)
    try:
        async with client.lease() as connection:
            yield connection
    finally:
        await client.close()


async def emptied(uri: str, cache: str) -> None:
    """Remove all that the store of this cache keeps, if there is one."""
    async with raw_connection(uri) as connection:
        for name in (cache, f"{cache}.workers"):
            try:
                await connection.ask(wire.Request(_CLEAR, name))
            except ServerError as error:
                if not error.is_no_cache:
                    raise
