"""When a cron schedule is due, in UTC.

Source: robfig/cron v3 `ParseStandard` and `SpecSchedule.Next`, which a Kubernetes CronJob uses.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

_MONTHS: Final = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAYS: Final = 366 * 8
"""A 29th of February may be eight years away, around 2100."""


class _Field(Struct, frozen=True):
    values: frozenset[int]
    is_any: bool


def next_time(schedule: str, after: datetime) -> datetime | None:
    """The first time later than `after`; None if there is none, as with "0 0 30 2 *".

    None too if `schedule` is not of five fields, as the SessionCluster's rules have it: a
    CronJob may be as somebody has changed it.
    """
    try:
        minutes, hours, days, months, weekdays = _fields(schedule)
    except ValueError:
        return None
    start = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    for offset in range(_DAYS):
        day = start.date() + timedelta(days=offset)
        if day.month not in months.values:
            continue
        in_month = day.day in days.values
        in_week = day.isoweekday() % 7 in weekdays.values
        # As everywhere in cron: either, where both are restricted.
        either = not days.is_any and not weekdays.is_any
        if not (in_month or in_week if either else in_month and in_week):
            continue
        for hour in sorted(hours.values):
            for minute in sorted(minutes.values):
                found = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                if found >= start:
                    return found
    return None


def _fields(schedule: str) -> tuple[_Field, ...]:
    minute, hour, day, month, weekday = schedule.split()
    return (
        _field(minute, 0, 59),
        _field(hour, 0, 23),
        _field(day, 1, 31),
        _field(month, 1, 12, _MONTHS),
        _field(weekday, 0, 6, _WEEKDAYS),
    )


def _field(text: str, first: int, last: int, names: Sequence[str] = ()) -> _Field:
    values: set[int] = set()
    is_any = False
    for item in text.split(","):
        span, _, step = item.partition("/")
        start, _, end = span.partition("-")
        if start in ("*", "?"):
            low, high = first, last
            # A star with a step restricts, but for a step of 1.
            is_any = is_any or step in ("", "1")
        else:
            low = _number(start, first, names)
            high = _number(end, first, names) if end else (last if step else low)
        values.update(range(low, high + 1, int(step or 1)))
    return _Field(frozenset(values), is_any)


def _number(text: str, first: int, names: Sequence[str]) -> int:
    """What the text means; `names` are those of the numbers from `first` on."""
    name = text.lower()
    return first + names.index(name) if name in names else int(text)
