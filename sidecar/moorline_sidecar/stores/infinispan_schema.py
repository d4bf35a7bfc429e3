"""Making what the store needs on the servers: the schema of its records, and two caches."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import quoteattr

from moorline_sidecar.stores import infinispan_wire as wire
from moorline_sidecar.stores.infinispan_errors import ServerError
from moorline_sidecar.stores.infinispan_records import SCHEMA, SCHEMA_NAME
from moorline_sidecar.stores.infinispan_running import Attempt
from moorline_sidecar.stores.infinispan_wire import PROTOBUF, TEXT

PREPARE_SECONDS: Final = 60.0
"""For servers that make caches, which is slow."""

_SCHEMAS: Final = "___protobuf_metadata"
_CREATE: Final = "@@cache@getorcreate"

_FILE_STORE: Final = '<persistence passivation="false"><file-store/></persistence>'
_ENCODING: Final = f'<encoding media-type="{PROTOBUF}"/>'
_CLUSTERED: Final = (
    '<distributed-cache name={name} mode="SYNC" owners="2">'
    f'{_ENCODING}<partition-handling when-split="DENY_READ_WRITES"/>{_FILE_STORE}'
    "</distributed-cache>"
)
_LOCAL: Final = f"<local-cache name={{name}}>{_ENCODING}{_FILE_STORE}</local-cache>"


async def make(attempt: Attempt, *caches: str) -> list[str]:
    """Make what is not there; the names of the caches."""
    name, text = SCHEMA_NAME.encode(), SCHEMA.encode()
    if (await attempt.ask_one(wire.get_text(_SCHEMAS, name))).value != text:
        await attempt.ask_one(wire.put(_SCHEMAS, name, text, form=TEXT))
    for cache in caches:
        if not await _is_there(attempt, cache):
            await _make_cache(attempt, cache)
    return list(caches)


async def _is_there(attempt: Attempt, cache: str) -> bool:
    try:
        await attempt.ask_one(wire.ping(cache))
    except ServerError as error:
        if error.is_no_cache:
            return False
        raise
    return True


async def _make_cache(attempt: Attempt, cache: str) -> None:
    # Every server of a cluster has the schemas, and one without a cluster tells of no servers.
    is_clustered = (await attempt.ask_one(wire.servers(_SCHEMAS))).servers > 0
    text = (_CLUSTERED if is_clustered else _LOCAL).format(name=quoteattr(cache))
    await attempt.ask_one(wire.execute(_CREATE, {"name": cache, "configuration": text}))
