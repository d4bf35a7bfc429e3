"""A Datastore for the demo and for tests: the one of the App Engine SDK, behind its API over gRPC.

    python datastore_server.py PORT FOLDER

runs in an environment of its own (`e2e/app/datastore.py`). The SDK decides about transactions,
versions, queries and the indexes they need. Added here is what it leaves to others: the API itself,
times, the limit of an entity, aggregations, and a journal that outlives a crash.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final, TypeAlias

import grpc
from google.cloud import datastore_v1
from google.cloud.datastore_v1 import types
from google.protobuf import timestamp_pb2
from google.rpc import code_pb2

Message: TypeAlias = Any
"""A message of the API or of the SDK; most classes are made when the program runs."""

SERVICE: Final = "google.datastore.v1.Datastore"
HOST: Final = "127.0.0.1"
ENTITY_BYTES_MAX: Final = 1_048_572
"""What Datastore takes."""

_LENGTH: Final = struct.Struct(">I")


def _pass_for_googledatastore() -> None:
    """Give the SDK the messages of today in the place of a package that nobody keeps any more."""
    module = ModuleType("googledatastore")
    module.__dict__["VERSION"] = (6, 0, 0)
    module.__dict__["NULL_VALUE"] = 0
    for name in types.__all__:
        kind = getattr(datastore_v1, name)
        module.__dict__[name] = kind.pb() if hasattr(kind, "pb") else kind
    module.__dict__["code_pb2"] = code_pb2
    # An operator that the API does not have any more, and the SDK asks for by its name.
    operators = dict(types.PropertyFilter.pb().Operator.items())
    module.__dict__["PropertyFilter"] = SimpleNamespace(**operators, HAS_PARENT=12)
    helper = ModuleType("googledatastore.helper")
    helper.__dict__["micros_from_timestamp"] = lambda at: at.seconds * 10**6 + at.nanos // 1000
    helper.__dict__["micros_to_timestamp"] = _put_micros
    module.__dict__["helper"] = helper
    sys.modules["googledatastore"] = module
    sys.modules["googledatastore.helper"] = helper


def _put_micros(micros: int, timestamp: timestamp_pb2.Timestamp) -> None:
    timestamp.seconds, rest = divmod(micros, 10**6)
    timestamp.nanos = rest * 1000


_pass_for_googledatastore()

# They look for the package above when they are imported.
from google.appengine.api import apiproxy_stub_map, datastore_file_stub  # noqa: E402
from google.appengine.datastore import (  # noqa: E402
    cloud_datastore_v1_stub,
    datastore_pb,
    datastore_pbs,
    datastore_stub_util,
    entity_bytes_pb2,
)
from google.appengine.runtime import apiproxy_errors  # noqa: E402

_Error = datastore_pb.Error
_CODES: Final = {
    _Error.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    _Error.CONCURRENT_TRANSACTION: grpc.StatusCode.ABORTED,
    _Error.NEED_INDEX: grpc.StatusCode.FAILED_PRECONDITION,
    _Error.TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    _Error.PERMISSION_DENIED: grpc.StatusCode.PERMISSION_DENIED,
}
_CODES_OF_TEXTS: Final = {
    "Entity already exists.": grpc.StatusCode.ALREADY_EXISTS,
    "Entity does not exist.": grpc.StatusCode.NOT_FOUND,
}


class Entities(datastore_file_stub.DatastoreFileStub):  # type: ignore[misc]
    """The entities of one project, each write of which is in the journal before it is answered."""

    def __init__(self, project: str, journal: Path) -> None:
        super().__init__(project, None, require_indexes=True, use_atexit=False)
        for is_put, content in _entries(journal):
            self._apply(is_put=is_put, content=content)
        self._journal = journal.open("ab", buffering=0)

    def _Put(self, record: Message, insert: bool) -> None:  # noqa: FBT001, N802 - as it is called
        super()._Put(record, insert)
        stored = datastore_stub_util._ToStorageEntity(record)  # noqa: SLF001 - as it stores it
        self._log(b"+", stored.SerializeToString())

    def _Delete(self, key: Message) -> None:  # noqa: N802 - as it is called
        super()._Delete(key)
        self._log(b"-", key.SerializeToString())

    def _apply(self, *, is_put: bool, content: bytes) -> None:
        if is_put:
            entity = entity_bytes_pb2.EntityProto.FromString(content)
            record = datastore_stub_util._FromStorageEntity(entity)  # noqa: SLF001
            self._StoreRecord(record)
            version = record.metadata.updated_version
            self._commit_timestamp: int = max(self._commit_timestamp, version)
        else:
            super()._Delete(entity_bytes_pb2.Reference.FromString(content))

    def _log(self, kind: bytes, content: bytes) -> None:
        self._journal.write(kind + _LENGTH.pack(len(content)) + content)


def _entries(journal: Path) -> Iterator[tuple[bool, bytes]]:
    """Whether each is a put, and what it is about; one that is cut off was not answered."""
    content = journal.read_bytes() if journal.exists() else b""
    at = 0
    while at + 1 + _LENGTH.size <= len(content):
        begin = at + 1 + _LENGTH.size
        (length,) = _LENGTH.unpack_from(content, at + 1)
        if begin + length > len(content):
            break
        yield content[at : at + 1] == b"+", content[begin : begin + length]
        at = begin + length
    if at < len(content):
        with journal.open("r+b") as file:
            file.truncate(at)


class Api:
    """The methods of the API, by project; one is carried out at a time, as the SDK wants it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._projects: dict[str, tuple[Entities, Any]] = {}

    def lookup(self, request: Message) -> Message:
        response = self._call(request, "Lookup", types.LookupResponse.pb()())
        response.read_time.CopyFrom(_now())
        return response

    def run_query(self, request: Message) -> Message:
        response = self._call(request, "RunQuery", types.RunQueryResponse.pb()())
        response.batch.read_time.CopyFrom(_now())
        return response

    def begin_transaction(self, request: Message) -> Message:
        return self._call(request, "BeginTransaction", types.BeginTransactionResponse.pb()())

    def rollback(self, request: Message) -> Message:
        return self._call(request, "Rollback", types.RollbackResponse.pb()())

    def allocate_ids(self, request: Message) -> Message:
        return self._call(request, "AllocateIds", types.AllocateIdsResponse.pb()())

    def commit(self, request: Message) -> Message:
        for mutation in request.mutations:
            _, entity = datastore_pbs.get_v1_mutation_key_and_entity(mutation)
            if entity is not None and entity.ByteSize() > ENTITY_BYTES_MAX:
                raise apiproxy_errors.ApplicationError(_Error.BAD_REQUEST, "entity is too big")
        response = self._call(request, "Commit", types.CommitResponse.pb()())
        response.commit_time.CopyFrom(_now())
        return response

    def run_aggregation_query(self, request: Message) -> Message:
        """Counts, by going through the keys, and of other aggregations none."""
        asked = request.aggregation_query
        query = types.RunQueryRequest.pb()(
            project_id=request.project_id, partition_id=request.partition_id
        )
        query.query.CopyFrom(asked.nested_query)
        if not query.query.projection:
            query.query.projection.add().property.name = "__key__"
        (aggregation,) = asked.aggregations
        up_to = aggregation.count.up_to.value if aggregation.count.HasField("up_to") else None
        count = 0
        while True:
            batch = self.run_query(query).batch
            count += len(batch.entity_results)
            if batch.more_results != types.QueryResultBatch.MoreResultsType.NOT_FINISHED:
                break
            query.query.start_cursor = batch.end_cursor
        response = types.RunAggregationQueryResponse.pb()()
        result = response.batch.aggregation_results.add()
        result.aggregate_properties[aggregation.alias or "property_1"].integer_value = (
            count if up_to is None else min(count, up_to)
        )
        response.batch.read_time.CopyFrom(_now())
        return response

    def _call(self, request: Message, method: str, response: Message) -> Message:
        entities, api = self._project(request.project_id)
        stubs = apiproxy_stub_map.APIProxyStubMap()
        stubs.RegisterStub("datastore_v3", entities)
        apiproxy_stub_map.apiproxy = stubs
        getattr(api, f"_Dynamic_{method}")(request, response)
        return response

    def _project(self, name: str) -> tuple[Entities, Any]:
        found = self._projects.get(name)
        if found is None:
            entities = Entities(name, self._folder / f"{name}.journal")
            # It is asked in the name of whom it is asked about.
            entities.SetTrusted(True)  # noqa: FBT003 - as it is called
            found = entities, cloud_datastore_v1_stub.CloudDatastoreV1Stub(name)
            self._projects[name] = found
        return found


def _now() -> timestamp_pb2.Timestamp:
    seconds, nanos = divmod(time.time_ns(), 10**9)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)


def _answering(method: Callable[[Message], Message]) -> Callable[[Message, Any], Message]:
    def answer(request: Message, context: grpc.ServicerContext) -> Message:
        try:
            return method(request)
        except apiproxy_errors.ApplicationError as error:
            code = _CODES_OF_TEXTS.get(error.error_detail) or _CODES.get(
                error.application_error, grpc.StatusCode.INTERNAL
            )
            context.abort(code, error.error_detail)

    return answer


def serve(port: int, folder: Path) -> None:
    """Answers until it is ended."""
    api = Api(folder)
    handlers: dict[str, Any] = {
        name: grpc.unary_unary_rpc_method_handler(
            _answering(method),
            request_deserializer=request.pb().FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        for name, method, request in (
            ("Lookup", api.lookup, types.LookupRequest),
            ("RunQuery", api.run_query, types.RunQueryRequest),
            ("RunAggregationQuery", api.run_aggregation_query, types.RunAggregationQueryRequest),
            ("BeginTransaction", api.begin_transaction, types.BeginTransactionRequest),
            ("Commit", api.commit, types.CommitRequest),
            ("Rollback", api.rollback, types.RollbackRequest),
            ("AllocateIds", api.allocate_ids, types.AllocateIdsRequest),
        )
    }
    server = grpc.server(
        ThreadPoolExecutor(max_workers=1),
        options=[("grpc.max_receive_message_length", 16 << 20), ("grpc.so_reuseport", 0)],
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"{HOST}:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
