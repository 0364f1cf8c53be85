"""Converts cron expressions to the time zone of the server's scheduler.

Kubeflow's schedules have six fields: second, minute, hour, day, month and weekday. The server uses a single
time zone (CRON_SCHEDULE_TIMEZONE of its deployment; UTC by default). croniter and cronsim compute when an
expression fires; neither of them converts an expression to another zone.
"""

import datetime
import re
import zoneinfo

from frcnn.errors import UsageError

_ANY = ("*", "?")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def _six_fields(cron: str) -> list[str]:
    """Splits a cron expression into six fields, with Sunday as 0; five fields get the seconds "0"."""
    fields = cron.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise UsageError(
            f"--cron '{cron}': expected minute hour day month weekday, such as '0 2 * * 1-5', or the same "
            "preceded by a field for seconds"
        )
    # The server accepts only 0 for Sunday.
    fields[5] = _without_seven(fields[5])
    return fields


def zone(name: str) -> zoneinfo.ZoneInfo:
    """Returns a time zone by name.

    Args:
        name: Name such as Europe/Berlin.

    Raises:
        UsageError: The name is unknown.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"unknown time zone '{name}'; expected a name such as Europe/Berlin or UTC"
        ) from error


def translated(
    cron: str, here: zoneinfo.ZoneInfo, there: zoneinfo.ZoneInfo, now: datetime.datetime
) -> tuple[str, datetime.datetime | None]:
    """Converts a cron expression to the server's time zone.

    Args:
        cron: Expression with five or six fields.
        here: Time zone of the expression.
        there: Time zone of the server.
        now: Current time, with time zone.

    Returns:
        Tuple of the expression with six fields, and the time within a year when it becomes wrong because
        clocks change; `None` if they do not.

    Raises:
        UsageError: A single expression cannot represent it, for example because the day of the month differs.
    """
    fields = _six_fields(cron)
    shift = _shift(here, there, now)
    days = (now + datetime.timedelta(days=day) for day in range(366))
    change = next((day for day in days if _shift(here, there, day) != shift), None)
    if shift == 0 and change is None:
        return " ".join(fields), None
    if not (fields[1].isdigit() and fields[2].isdigit()):
        raise UsageError(
            f"--cron '{cron}': minute and hour must be numbers if the time zone differs from the server's"
        )
    total = int(fields[2]) * 60 + int(fields[1]) + shift
    days_on, minute_of_day = divmod(total, 24 * 60)
    fields[2], fields[1] = (str(part) for part in divmod(minute_of_day, 60))
    if days_on:
        if fields[3] not in _ANY or fields[4] not in _ANY:
            raise UsageError(
                f"--cron '{cron}': this time is on another day in the server's time zone ({there.key}), so "
                "the day of the month cannot be converted. Choose another hour, or give the server's time."
            )
        fields[5] = _moved_days(fields[5], days_on, cron)
    return " ".join(fields), change


def _without_seven(field: str) -> str:
    """Replaces 7, which other crons accept for Sunday, by 0; the server accepts 0 to 6."""
    parts = []
    for part in field.split(","):
        numbers = re.sub("|".join(_DAYS), lambda name: str(_DAYS.index(name[0])), part.lower())
        form = re.fullmatch(r"([0-7])(?:-([0-7]))?(?:/([1-9]))?", numbers)
        if form is None or "7" not in (form[1], form[2]):
            parts.append(part)
            continue
        days = range(int(form[1]), int(form[2] or 7) + 1, int(form[3] or 1))
        parts += [str(day) for day in sorted({day % 7 for day in days})]
    return ",".join(dict.fromkeys(parts))


def _shift(here: zoneinfo.ZoneInfo, there: zoneinfo.ZoneInfo, when: datetime.datetime) -> int:
    """Returns the minutes to add to a time of day `here` to get that `there`."""
    offsets = [when.astimezone(each).utcoffset() or datetime.timedelta() for each in (there, here)]
    return int((offsets[0] - offsets[1]).total_seconds() // 60)


def _moved_days(field: str, by: int, cron: str) -> str:
    """Shifts the weekdays of a field by a number of days and returns them as a list."""
    if field in _ANY:
        return field
    days: set[int] = set()
    for part in field.lower().split(","):
        match = re.fullmatch(r"(\w+)(?:-(\w+))?", part)
        if match is None:
            raise UsageError(f"--cron '{cron}': cannot parse weekdays '{field}'. List them one by one.")
        first = _day(match[1], cron)
        last = _day(match[2], cron) if match[2] else first
        days |= {day % 7 for day in range(first, (last if last >= first else last + 7) + 1)}
    return ",".join(str(day) for day in sorted((day + by) % 7 for day in days))


def _day(text: str, cron: str) -> int:
    if text in _DAYS:
        return _DAYS.index(text)
    if text.isdigit() and int(text) <= 7:
        return int(text) % 7
    raise UsageError(f"--cron '{cron}': unknown weekday '{text}'; expected 0 to 6 or SUN to SAT")
