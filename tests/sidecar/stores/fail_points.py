"""MongoDB's own fault injection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient


class FailPoints:
    """Makes the next commands of these names fail, of the stores under test alone."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]]) -> None:
        self._client = client

    async def next(self, *commands: str, times: int = 1, **how: object) -> None:
        """`how`: errorCode, writeConcernError, closeConnection, blockConnection and blockTimeMS."""
        data = {"failCommands": list(commands), "appName": "moorline-sidecar", **how}
        await self._client.admin.command(
            {"configureFailPoint": "failCommand", "mode": {"times": times}, "data": data}
        )

    async def off(self) -> None:
        await self._client.admin.command({"configureFailPoint": "failCommand", "mode": "off"})


@asynccontextmanager
async def fail_points(uri: str) -> AsyncIterator[FailPoints]:
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        fail = FailPoints(client)
        try:
            yield fail
        finally:
            await fail.off()
