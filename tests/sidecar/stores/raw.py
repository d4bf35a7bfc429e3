"""What a person does in the shell."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from tests.contract.backends import DATABASE


@asynccontextmanager
async def raw_collection(uri: str, name: str) -> AsyncIterator[AsyncCollection[dict[str, Any]]]:
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        yield client[DATABASE][name]
