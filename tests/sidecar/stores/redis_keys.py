"""Looking into Redis past the store: what is there, and whether the indexes fit it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from redis.asyncio import Redis

Index: TypeAlias = dict[str, float]


@asynccontextmanager
async def raw(uri: str) -> AsyncIterator[Any]:
    """A client of the driver's own, with texts instead of bytes."""
    client = Redis.from_url(uri, decode_responses=True)
    try:
        yield client
    finally:
        await client.aclose()


async def indexes(uri: str, prefix: str) -> dict[str, Index]:
    """Members and scores of every sorted set."""
    names = ("expiry", "forever", "copies", "principals", "ended", "graces")
    async with raw(uri) as client:
        return {
            name: dict(await client.zrange(f"{prefix}{name}", 0, -1, withscores=True))
            for name in names
        }


async def expected_indexes(uri: str, prefix: str) -> dict[str, Index]:
    """What the sorted sets are to hold by the hashes that there are."""
    found: dict[str, Index] = {
        name: {} for name in ("expiry", "forever", "copies", "principals", "ended", "graces")
    }
    async with raw(uri) as client:
        async for key in client.scan_iter(f"{prefix}session:*"):
            _place(found, key.removeprefix(f"{prefix}session:"), await client.hgetall(key))
    return found


def _place(found: dict[str, Index], key: str, fields: dict[str, str]) -> None:
    if fields["valid"] == "0":
        found["ended"][key] = float(fields["invalidated"])
        if "graceUntil" in fields:
            found["graces"][key] = float(fields["graceUntil"])
        return
    if "renewOf" in fields:
        found["copies"][key] = float(fields["lastSaved"])
    elif "expiry" in fields:
        found["expiry"][key] = float(fields["expiry"])
    else:
        found["forever"][key] = float(fields["accessed"])
    if "principal" in fields:
        principal = fields["principal"]
        found["principals"][f"{len(principal.encode())}:{principal}:{key}"] = 0.0
