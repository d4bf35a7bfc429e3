"""The purge's CronJob deletes what it should and nothing else, and tells how many."""

import json
from typing import Final

from e2e.suite.namespace import STORE, Namespace
from e2e.suite.pods import PYTHON
from e2e.suite.report import LOOK
from e2e.suite.stage import Stage
from tests.operator.watching import eventually

NAMESPACE: Final = "purged"
TOMBSTONES_TO_GO: Final = 300
SESSIONS_TO_GO: Final = 40
TOLD_SECONDS: Final = 300
"""It runs at the next full minute."""
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
_NUMBERS: Final = ("get", "scl", "shop", "--output=jsonpath={.status.purge}")


async def test_the_purge_deletes_what_is_over_and_nothing_else(moorline: Stage) -> None:
    async with moorline.namespace(NAMESPACE) as namespace:
        await namespace.open_store()
        await namespace.apply(*namespace.manifest("sessioncluster"))
        await namespace.until_ready()
        await _in_the_store(namespace, _FILL)
        moorline.story.say("waiting for the CronJob, which runs at every full minute")
        await namespace.patch({"purge": {"schedule": "* * * * *"}})
        told: dict[str, int] = {}

        async def has_told() -> bool:
            told.update(json.loads(await namespace.kubectl(*_NUMBERS) or "{}"))
            return told.get("invalidDeleted", 0) > 0

        await eventually(has_told, lambda: f"no purge has told its numbers: {told}", TOLD_SECONDS)
        assert told["invalidDeleted"] == TOMBSTONES_TO_GO
        assert told["validDeleted"] == SESSIONS_TO_GO
        assert json.loads(await _in_the_store(namespace, _LEFT)) == sorted(TO_STAY)
        moorline.story.keep(f"{LOOK}purged.txt", await _look(moorline))
        moorline.story.note(
            f"{TOMBSTONES_TO_GO} tombstones and {SESSIONS_TO_GO} sessions deleted, all that had to"
            f" stay are there"
        )


async def _look(moorline: Stage) -> str:
    """As a person sees that there was a purge, and what came of it."""
    table = f"kubectl -n {NAMESPACE} get scl"
    numbers = f"{table} shop -o jsonpath='{{.status.purge}}'"
    printed = [(look, await moorline.commands.bash(look)) for look in (table, numbers)]
    assert "<unknown>" not in printed[0][1]
    return "\n".join(f"$ {look}\n{text}" for look, text in printed)


async def _in_the_store(namespace: Namespace, script: str) -> str:
    command = ("exec", f"deployment/{STORE}", "--", PYTHON, "-c", script)
    return await namespace.kubectl(*command)
