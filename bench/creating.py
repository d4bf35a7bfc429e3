"""Sessions made through the API, for stores that cannot be filled from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import aiohttp

from bench.errors import BenchError
from bench.population import Member
from bench.reading import Known

OK, CREATED, NO_CONTENT = 200, 201, 204


def created(url: str, population: Iterable[Member], contexts: Sequence[str]) -> list[list[Known]]:
    """Of each session what a client knows, for each of its contexts; all hold the attributes.

    Raises:
        BenchError: an answer is not the one that is expected.
    """
    return asyncio.run(_created(url, population, contexts))


async def _created(
    url: str, population: Iterable[Member], contexts: Sequence[str]
) -> list[list[Known]]:
    async with aiohttp.ClientSession(url) as http:
        return [await _create(http, member, contexts) for member in population]


async def _create(
    http: aiohttp.ClientSession, member: Member, contexts: Sequence[str]
) -> list[Known]:
    path = f"/v1/sessions/{member.id}"
    once = {"If-None-Match": "*"}
    for context in contexts:
        headers = {"Moorline-Context": context, **once}
        once = {}
        body = {"attributes": member.attributes}
        async with http.put(path, json=body, headers=headers) as answer:
            _expect(answer, await answer.read(), OK, CREATED)
    return [await _read(http, path, context) for context in contexts]


async def _read(http: aiohttp.ClientSession, path: str, context: str) -> Known:
    async with http.get(path, headers={"Moorline-Context": context}) as answer:
        body = await answer.read()
        _expect(answer, body, OK)
        return Known(path.rpartition("/")[2], answer.headers["Moorline-Hint"], body)


def _expect(answer: aiohttp.ClientResponse, body: bytes, *statuses: int) -> None:
    if answer.status not in statuses:
        raise BenchError(f"{answer.method} was answered {answer.status}: {body[:300]!r}")
