"""What a purge deletes, by hand: `python -m bench.peers.raw_delete URI COLLECTION`.

Two `delete_many` with the filters of the purge; prints seconds and how many were deleted.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from moorline_sidecar.stores.base import Purge, PurgeKind
from moorline_sidecar.stores.mongodb_updates import purge_filter
from pymongo import MongoClient
from pymongo.write_concern import WriteConcern

DAY_MS = 24 * 3600 * 1000


def main(uri: str, collection: str) -> None:
    now = int(time.time() * 1000)
    purges = (
        Purge(kind=PurgeKind.INVALID, before=now - DAY_MS, now=now),
        Purge(kind=PurgeKind.VALID, before=now - 7 * DAY_MS, now=now),
    )
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    with client:
        concern = WriteConcern("majority", j=True)
        target = client["sessions"].get_collection(collection, write_concern=concern)
        target.find_one({})
        started = time.monotonic()
        deleted = sum(target.delete_many(purge_filter(each)).deleted_count for each in purges)
        print(json.dumps({"seconds": time.monotonic() - started, "deleted": deleted}))


if __name__ == "__main__":
    main(*sys.argv[1:])
