"""Carrying out a call on Datastore: in time, with the client's errors translated."""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any, Final, TypeAlias, TypeVar

from google.cloud.datastore_v1.types import (
    AggregationQuery,
    CommitRequest,
    EntityResult,
    Key,
    LookupRequest,
    LookupResponse,
    Mutation,
    MutationResult,
    PartitionId,
    Query,
    QueryResultBatch,
    RunAggregationQueryRequest,
    RunQueryRequest,
)

from moorline_sidecar.errors import MoorlineError, OutcomeUnknown, StoreUnavailable
from moorline_sidecar.stores.base import CALL_SECONDS
from moorline_sidecar.stores.connection import UriConnection
from moorline_sidecar.stores.datastore_client import Client, Link
from moorline_sidecar.stores.datastore_errors import (
    CLIENT_ERRORS,
    LATE,
    LOST,
    is_surely_not_applied,
    readable,
)

Result = TypeVar("Result")

KEYS_MAX: Final = 1_000
"""That one request may ask for."""

LAST_TRY_SECONDS: Final = 0.2
"""Before the end of a call nothing is begun anew that others were in the way of."""

_GOES_ON: Final = QueryResultBatch.MoreResultsType.NOT_FINISHED


class Attempt:
    """One try of a call."""

    def __init__(self, client: Client, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._changes = 0

    @property
    def may_have_changed(self) -> bool:
        """Whether something went out that was done, or perhaps was, or will be."""
        return self._changes > 0

    @property
    def project(self) -> str:
        return self._client.project

    def key(self, kind: str, name: str) -> Key:
        return Key(
            partition_id=PartitionId(project_id=self.project),
            path=[Key.PathElement(kind=kind, name=name)],
        )

    def tries(self) -> Iterator[int]:
        """Numbers from 0, while there is time to try again."""
        number = 0
        while self._left() > LAST_TRY_SECONDS:
            yield number
            number += 1

    async def lookup(self, keys: Sequence[Key]) -> list[EntityResult]:
        """Those that exist among different keys."""
        found: list[EntityResult] = []
        pending = list(keys)
        while pending:
            response = await self.ask(pending[:KEYS_MAX])
            found.extend(response.found)
            pending = [*response.deferred, *pending[KEYS_MAX:]]
        return found

    async def ask(self, keys: Sequence[Key]) -> LookupResponse:
        """What is answered to this one request, which is perhaps not all."""
        request = LookupRequest(project_id=self.project, keys=keys)
        return await self._client.api.lookup(request, retry=None, timeout=self._left())

    async def commit(self, mutations: Iterable[Mutation]) -> Sequence[MutationResult]:
        """Carry out each by itself, as far as its version is that which is stored."""
        request = CommitRequest(
            project_id=self.project,
            mode=CommitRequest.Mode.NON_TRANSACTIONAL,
            mutations=list(mutations),
        )
        self._changes += 1
        try:
            response = await self._client.api.commit(request, retry=None, timeout=self._left())
        except CLIENT_ERRORS as error:
            if is_surely_not_applied(error):
                self._changes -= 1
            raise
        if all(result.conflict_detected for result in response.mutation_results):
            self._changes -= 1
        return response.mutation_results

    async def results(self, query: Query) -> AsyncIterator[Sequence[EntityResult]]:
        """Those of a query, as they come."""
        partition = PartitionId(project_id=self.project)
        while True:
            request = RunQueryRequest(project_id=self.project, partition_id=partition, query=query)
            response = await self._client.api.run_query(request, retry=None, timeout=self._left())
            batch = response.batch
            yield batch.entity_results
            if batch.more_results != _GOES_ON:
                return
            query = _after(query, batch)
            if "limit" in query and not query.limit:
                return

    async def count(self, query: Query, up_to: int = 0) -> int:
        """How many results it has, counted up to that many (0: all)."""
        counting = AggregationQuery.Aggregation.Count(up_to=up_to or None)
        request = RunAggregationQueryRequest(
            project_id=self.project,
            partition_id=PartitionId(project_id=self.project),
            aggregation_query=AggregationQuery(
                nested_query=query,
                aggregations=[AggregationQuery.Aggregation(count=counting, alias="n")],
            ),
        )
        response = await self._client.api.run_aggregation_query(
            request, retry=None, timeout=self._left()
        )
        (result,) = response.batch.aggregation_results
        return int(result.aggregate_properties["n"].integer_value)

    def _left(self) -> float:
        return _left(self._deadline)


def _after(query: Query, batch: QueryResultBatch) -> Query:
    """The same query, from where the batch ended."""
    following = Query(query)
    following.start_cursor = batch.end_cursor
    if "limit" in query:
        following.limit = max(0, query.limit - len(batch.entity_results))
    return following


Operation: TypeAlias = Callable[[Attempt], Coroutine[Any, Any, Result]]


class Runner:
    """Carries out the calls of one store."""

    def __init__(self, connection: UriConnection[Link]) -> None:
        self._connection = connection

    async def run(self, operation: Operation[Result], *, seconds: float = CALL_SECONDS) -> Result:
        """What `operation` returns; tried again if the connection was lost before it changed."""
        deadline = asyncio.get_running_loop().time() + seconds
        has_been_lost = False
        while True:
            link: Link | None = None
            try:
                async with (
                    self._connection.use() as link,
                    link.use(_left(deadline)) as client,
                ):
                    return await _try(link, client, operation, deadline)
            except StoreUnavailable as error:
                if _left(deadline) <= 0:
                    raise
                is_again = isinstance(error.__cause__, LOST) and not has_been_lost
                if not (is_again or await self._connection.refresh(link)):
                    raise
                has_been_lost = has_been_lost or is_again

    async def close(self) -> None:
        await self._connection.close()


async def _try(link: Link, client: Client, operation: Operation[Result], deadline: float) -> Result:
    attempt = Attempt(client, deadline)
    try:
        async with asyncio.timeout_at(deadline):
            return await operation(attempt)
    except (TimeoutError, LATE) as error:
        link.renew(client)
        raise _meaning(error, "there was no answer in time", attempt) from error
    except StoreUnavailable as error:
        raise _meaning(error, str(error), attempt) from error
    except CLIENT_ERRORS as error:
        raise _meaning(error, readable(error), attempt) from error


def _meaning(error: Exception, text: str, attempt: Attempt) -> MoorlineError:
    if attempt.may_have_changed:
        return OutcomeUnknown(text)
    return error if isinstance(error, StoreUnavailable) else StoreUnavailable(text)


def _left(deadline: float) -> float:
    return max(0.0, deadline - asyncio.get_running_loop().time())


async def gathered(calls: Iterable[Awaitable[Result]]) -> list[Result]:
    """What each returns; what goes wrong with one is raised after all are through."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    found: list[Result] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found
