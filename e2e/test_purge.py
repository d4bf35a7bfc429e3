"""The purge's CronJob deletes what it should and nothing else, and tells how many."""

import json
from typing import Final

from e2e.suite.stage import Stage, settings_of
from tests.operator.watching import eventually

NAMESPACE: Final = "purged"
TOMBSTONES_TO_GO: Final = 300
SESSIONS_TO_GO: Final = 40
TO_STAY: Final = ("ended-just-now", "idle-but-not-over", "never-over", "in-use")

# Runs where the store does, whose image has a driver: the suite's machine may not reach it.
_FILL: Final = f"""
import datetime, pymongo
sessions = pymongo.MongoClient("mongodb://localhost/?directConnection=true").sessions.shop
now = datetime.datetime.now(datetime.UTC)
ago = lambda hours: now - datetime.timedelta(hours=hours)
def tombstone(key, hours):
    return {{"_id": key, "valid": False, "version": 2, "created": ago(hours + 1),
            "accessed": ago(hours), "invalidated": ago(hours), "reason": "logout"}}
def session(key, accessed, expiry):
    return {{"_id": key, "valid": True, "version": 1, "created": accessed, "accessed": accessed,
            "lastAccessed": accessed, "expiry": expiry, "maxIdle": 0 if expiry is None else 1800000,
            "lastNode": "gone", "lastSaved": accessed, "context": {{}}}}
sessions.insert_many(
    [tombstone(f"ended-{{number}}", 25) for number in range({TOMBSTONES_TO_GO})]
    + [session(f"idle-{{number}}", ago(200), ago(199)) for number in range({SESSIONS_TO_GO - 1})]
    + [session("idle-for-ever", ago(200), None), tombstone("ended-just-now", 23),
       session("idle-but-not-over", ago(200), ago(-100)), session("never-over", ago(100), None),
       session("in-use", now, ago(-1))]
)
"""
_LEFT: Final = """
import json, pymongo
found = pymongo.MongoClient("mongodb://localhost/?directConnection=true").sessions.shop
print(json.dumps(sorted(one["_id"] for one in found.find())))
"""


async def test_the_purge_deletes_what_is_over_and_nothing_else(moorline: Stage) -> None:
    async with moorline.namespace(NAMESPACE):
        await moorline.open_store(NAMESPACE)
        await moorline.commands.apply(NAMESPACE, *moorline.manifest("sessioncluster"))
        await moorline.until_ready(NAMESPACE)
        await _in_the_store(moorline, _FILL)
        moorline.story.say("waiting for the CronJob, which runs at every full minute")
        schedule = settings_of({"purge": {"schedule": "* * * * *"}})
        where = ("--namespace", NAMESPACE)
        await moorline.kubectl(*where, "patch", "scl", "shop", "--type=merge", "--patch", schedule)
        told: dict[str, int] = {}

        async def has_told() -> bool:
            template = "--output=jsonpath={.status.purge}"
            told.update(
                json.loads(await moorline.kubectl(*where, "get", "scl", "shop", template) or "{}")
            )
            return told.get("invalidDeleted", 0) > 0

        await eventually(has_told, lambda: f"no purge has told its numbers: {told}", 180)
        left = json.loads(await _in_the_store(moorline, _LEFT))
        assert told["invalidDeleted"] == TOMBSTONES_TO_GO
        assert told["validDeleted"] == SESSIONS_TO_GO
        assert sorted(left) == sorted(TO_STAY)
        line = await moorline.kubectl(*where, "get", "scl", "shop", "--output=wide")
        moorline.story.keep("get-scl.txt", line)
        moorline.story.note(
            f"{TOMBSTONES_TO_GO} tombstones and {SESSIONS_TO_GO} sessions deleted, all that had to"
            f" stay are there"
        )


async def _in_the_store(stage: Stage, script: str) -> str:
    return await stage.kubectl(
        *("--namespace", NAMESPACE, "exec", "deployment/store", "--"),
        *("/opt/app/bin/python3", "-c", script),
    )
