"""The schedules of purges, spread so that not all SessionClusters purge at midnight."""

import hashlib
from typing import Final

_NAMED: Final = {
    "@hourly": "{minute} * * * *",
    "@daily": "{minute} {hour} * * *",
    "@midnight": "{minute} {hour} * * *",
    "@weekly": "{minute} {hour} * * 0",
    "@monthly": "{minute} {hour} 1 * *",
    "@yearly": "{minute} {hour} 1 1 *",
    "@annually": "{minute} {hour} 1 1 *",
}


def spread(schedule: str, uid: str) -> str:
    """Five cron fields; those of a name have a minute and an hour that the UID decides."""
    digest = int.from_bytes(hashlib.sha256(uid.encode()).digest())
    hour, minute = divmod(digest % (24 * 60), 60)
    return _NAMED.get(schedule, schedule).format(minute=minute, hour=hour)
