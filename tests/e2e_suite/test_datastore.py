"""The Datastore of the tests judges as Google's does, where the store relies on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.api_core.exceptions import AlreadyExists, FailedPrecondition, InvalidArgument
from google.cloud.datastore_v1.services.datastore import DatastoreAsyncClient
from google.cloud.datastore_v1.services.datastore.transports import DatastoreGrpcAsyncIOTransport
from google.cloud.datastore_v1.types import (
    CommitRequest,
    Entity,
    Key,
    KindExpression,
    Mutation,
    MutationResult,
    PartitionId,
    PropertyFilter,
    PropertyOrder,
    PropertyReference,
    Query,
    RunQueryRequest,
    Value,
)

from e2e.app.databases import NotInstalled
from e2e.app.datastore import DatastoreServer

PROJECT = "moorline"


@pytest.fixture
async def client(datastore: DatastoreServer) -> AsyncIterator[DatastoreAsyncClient]:
    async with grpc.aio.insecure_channel(datastore.address) as channel:
        yield DatastoreAsyncClient(transport=DatastoreGrpcAsyncIOTransport(channel=channel))


@pytest.fixture
def entity(mongo_collection: str) -> Entity:
    """One that is not stored, of a kind of its own."""
    path = [Key.PathElement(kind=mongo_collection, name="one")]
    key = Key(partition_id=PartitionId(project_id=PROJECT), path=path)
    return Entity(key=key, properties={"n": Value(integer_value=1)})


async def committed(client: DatastoreAsyncClient, mutation: Mutation) -> MutationResult:
    mode = CommitRequest.Mode.NON_TRANSACTIONAL
    request = CommitRequest(project_id=PROJECT, mode=mode, mutations=[mutation])
    (result,) = (await client.commit(request)).mutation_results
    return result


async def test_a_version_that_is_not_the_stored_one_is_a_conflict(
    client: DatastoreAsyncClient, entity: Entity
) -> None:
    first = await committed(client, Mutation(insert=entity))
    second = await committed(client, Mutation(upsert=entity, base_version=first.version))
    entity.properties["n"] = Value(integer_value=2)
    third = await committed(client, Mutation(upsert=entity, base_version=second.version))
    late = await committed(client, Mutation(upsert=entity, base_version=second.version))
    gone = await committed(client, Mutation(delete=entity.key, base_version=third.version))
    too_late = await committed(client, Mutation(upsert=entity, base_version=third.version))

    assert third.version > first.version
    assert not any(each.conflict_detected for each in (first, second, third, gone))
    assert late.conflict_detected
    assert too_late.conflict_detected


async def test_what_is_there_is_not_inserted_again(
    client: DatastoreAsyncClient, entity: Entity
) -> None:
    await committed(client, Mutation(insert=entity))

    with pytest.raises(AlreadyExists):
        await committed(client, Mutation(insert=entity))


async def test_an_entity_that_is_too_large_is_refused(
    client: DatastoreAsyncClient, entity: Entity
) -> None:
    entity.properties["large"] = Value(string_value="x" * (1 << 20), exclude_from_indexes=True)

    with pytest.raises(InvalidArgument):
        await committed(client, Mutation(insert=entity))


async def test_a_query_that_needs_a_composite_index_is_refused(
    client: DatastoreAsyncClient, mongo_collection: str
) -> None:
    filtered = PropertyFilter(
        property=PropertyReference(name="principal"),
        op=PropertyFilter.Operator.EQUAL,
        value=Value(string_value="ada"),
    )
    query = Query(
        kind=[KindExpression(name=mongo_collection)],
        filter={"property_filter": filtered},
        order=[PropertyOrder(property=PropertyReference(name="accessed"))],
    )
    partition = PartitionId(project_id=PROJECT)

    with pytest.raises(FailedPrecondition, match="composite index"):
        await client.run_query(
            RunQueryRequest(project_id=PROJECT, partition_id=partition, query=query)
        )


def test_an_environment_that_is_not_there_is_told_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    with pytest.raises(NotInstalled, match=r"python3 -m e2e\.app\.datastore"):
        DatastoreServer(tmp_path).make()
