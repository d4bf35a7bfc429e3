"""What another client of the cluster does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from hazelcast.asyncio import HazelcastClient

from e2e.app.hazelcast import CLUSTER, HazelcastMember


@asynccontextmanager
async def raw_map(member: HazelcastMember, name: str) -> AsyncIterator[Any]:
    client = await HazelcastClient.create_and_start(
        cluster_name=CLUSTER, cluster_members=[member.address]
    )
    try:
        yield await client.get_map(name)
    finally:
        await client.shutdown()
