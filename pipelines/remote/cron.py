"""Cron expressions in a time zone, for a scheduler that knows only its own.

Kubeflow's schedules have six fields, second minute hour day month weekday, and follow one time zone for all
of the server (CRON_SCHEDULE_TIMEZONE of its deployment; UTC if nobody set it).
"""

import datetime
import re
import zoneinfo

from frcnn.errors import UsageError

_ANY = ("*", "?")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def six_fields(cron: str) -> list[str]:
    """The fields; a seconds field is put before the usual five.

    Raises:
        UsageError: Neither five nor six.
    """
    fields = cron.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise UsageError(
            f"--cron '{cron}': expected minute hour day month weekday, such as '0 2 * * 1-5', or six fields "
            "that begin with the second"
        )
    # The server knows Sunday as 0 only.
    fields[5] = _without_seven(fields[5])
    return fields


def zone(name: str) -> zoneinfo.ZoneInfo:
    """A time zone by its name.

    Raises:
        UsageError: There is none of that name.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"time zone '{name}': not known; expected one such as Europe/Berlin or UTC"
        ) from error


def translated(
    cron: str, here: zoneinfo.ZoneInfo, there: zoneinfo.ZoneInfo, now: datetime.datetime
) -> tuple[str, datetime.datetime | None]:
    """A schedule in the time zone `here` as one in the server's, `there`.

    Returns:
        The expression in six fields, and when it will be wrong by a change of the clocks: None if it
        will not within a year.

    Raises:
        UsageError: It cannot be said as one expression, as for a time of day that lies on another day there.
    """
    fields = six_fields(cron)
    shift = _shift(here, there, now)
    days = (now + datetime.timedelta(days=day) for day in range(366))
    change = next((day for day in days if _shift(here, there, day) != shift), None)
    if shift == 0 and change is None:
        return " ".join(fields), None
    if not (fields[1].isdigit() and fields[2].isdigit()):
        raise UsageError(
            f"--cron '{cron}': with a time zone other than the server's, minute and hour have to be numbers"
        )
    total = int(fields[2]) * 60 + int(fields[1]) + shift
    days_on, minute_of_day = divmod(total, 24 * 60)
    fields[2], fields[1] = (str(part) for part in divmod(minute_of_day, 60))
    if days_on:
        if fields[3] not in _ANY or fields[4] not in _ANY:
            raise UsageError(
                f"--cron '{cron}': that time lies on another day in the server's time zone ({there.key}), "
                "which days of the month cannot follow; choose another hour, or give the server's time"
            )
        fields[5] = _moved_days(fields[5], days_on, cron)
    return " ".join(fields), change


def _without_seven(field: str) -> str:
    """The weekdays with 0 for the Sunday that other crons write as 7 too; the server knows 0 to 6."""
    parts = []
    for part in field.split(","):
        form = re.fullmatch(r"([0-7])(?:-([0-7]))?(?:/([1-9]))?", part)
        if form is None or "7" not in (form[1], form[2]):
            parts.append(part)
            continue
        days = range(int(form[1]), int(form[2] or 7) + 1, int(form[3] or 1))
        parts += [str(day) for day in sorted({day % 7 for day in days})]
    return ",".join(dict.fromkeys(parts))


def _shift(here: zoneinfo.ZoneInfo, there: zoneinfo.ZoneInfo, when: datetime.datetime) -> int:
    """Minutes to add to a time of day here to have the one there."""
    offsets = [when.astimezone(each).utcoffset() or datetime.timedelta() for each in (there, here)]
    return int((offsets[0] - offsets[1]).total_seconds() // 60)


def _moved_days(field: str, by: int, cron: str) -> str:
    """The weekdays of a field, so many days later, as a list."""
    if field in _ANY:
        return field
    days: set[int] = set()
    for part in field.lower().split(","):
        match = re.fullmatch(r"(\w+)(?:-(\w+))?", part)
        if match is None:
            raise UsageError(f"--cron '{cron}': weekdays '{field}' are not understood; name them one by one")
        first = _day(match[1], cron)
        last = _day(match[2], cron) if match[2] else first
        days |= {day % 7 for day in range(first, (last if last >= first else last + 7) + 1)}
    return ",".join(str(day) for day in sorted((day + by) % 7 for day in days))


def _day(text: str, cron: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if text.isdigit() and int(text) <= 7:
        return int(text) % 7
    raise UsageError(f"--cron '{cron}': weekday '{text}' is not understood; expected 0 to 6 or SUN to SAT")
