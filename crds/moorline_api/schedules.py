"""The schedules that a purge can have: cron's five fields, or a name for them.

Source: robfig/cron v3 `ParseStandard`, which reads the schedule of a Kubernetes CronJob.
"""

from typing import Final


def _field(value: str) -> str:
    item = f"([*?]|{value}(-{value})?)(/[1-9][0-9]?)?"
    return f"{item}(,{item})*"


_MINUTE: Final = "[0-5]?[0-9]"
_HOUR: Final = "([01]?[0-9]|2[0-3])"
_DAY: Final = "(0?[1-9]|[12][0-9]|3[01])"
_MONTH: Final = "(0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))"
# Sunday is 0 only: robfig/cron does not know the 7 of others.
_WEEKDAY: Final = "([0-6]|(?i:sun|mon|tue|wed|thu|fri|sat))"
_FIELDS: Final = " +".join(map(_field, (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)))
_NAMES: Final = "@(hourly|daily|midnight|weekly|monthly|yearly|annually)"

# For Python and RE2 alike. `@every` is left out, for a CronJob that was suspended or missed
# has nothing to count from; so is `TZ=`, which Kubernetes refuses.
SCHEDULE_PATTERN: Final = f"^({_NAMES}|{_FIELDS})$"
