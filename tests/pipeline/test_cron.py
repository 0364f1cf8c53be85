"""Times of day in the user's time zone, for a scheduler that follows its own."""

import datetime

import pytest

from frcnn.errors import UsageError
from pipelines.remote.cron import translated, zone

WINTER = datetime.datetime(2026, 1, 15, 12, tzinfo=datetime.UTC)
UTC = zone("UTC")


@pytest.mark.parametrize(
    ("cron", "here", "expected"),
    [
        ("0 2 * * 0", "UTC", "0 0 2 * * 0"),
        ("*/10 * * * *", "UTC", "0 */10 * * * *"),
        ("30 9 * * 1-5", "Europe/Berlin", "0 30 8 * * 1-5"),
        ("15 30 9 ? * MON", "Asia/Kolkata", "15 0 4 ? * MON"),
        ("0 0 * * 1-5", "Europe/Berlin", "0 0 23 * * 0,1,2,3,4"),
        ("0 0 * * SUN", "Europe/Berlin", "0 0 23 * * 6"),
        ("0 23 * * 6", "America/New_York", "0 0 4 * * 0"),
        ("0 0 * * *", "Europe/Berlin", "0 0 23 * * *"),
    ],
)
def test_times_are_the_servers(cron, here, expected):
    assert translated(cron, zone(here), UTC, WINTER)[0] == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ("7", "0"),
        ("5-7", "0,5,6"),
        ("1-7", "0,1,2,3,4,5,6"),
        ("0-7", "0,1,2,3,4,5,6"),
        ("0,7", "0"),
        ("1,7", "1,0"),
        ("1-7/2", "0,1,3,5"),
        ("7-7", "0"),
        ("mon-7", "0,1,2,3,4,5,6"),
        ("FRI-7", "0,5,6"),
        ("fri,7", "fri,0"),
        ("1-5", "1-5"),
        ("SUN", "SUN"),
        ("*/7", "*/7"),
    ],
)
def test_sunday_is_0_to_the_server_and_may_be_7_here(days, expected):
    assert translated(f"0 2 * * {days}", UTC, UTC, WINTER)[0] == f"0 0 2 * * {expected}"


def test_a_change_of_the_clocks_is_told(cron="0 2 * * *"):
    _, change = translated(cron, zone("Europe/Berlin"), UTC, WINTER)
    assert change is not None
    assert abs(change - datetime.datetime(2026, 3, 29, 1, tzinfo=datetime.UTC)) <= datetime.timedelta(days=1)
    assert translated(cron, zone("Asia/Kolkata"), UTC, WINTER)[1] is None


@pytest.mark.parametrize(
    ("cron", "here", "message"),
    [
        ("0 2 * *", "UTC", "expected minute hour day month weekday"),
        ("*/5 2 * * *", "Europe/Berlin", "minute and hour must be numbers"),
        ("0 0 1 * *", "Europe/Berlin", "is on another day"),
        ("0 0 * * 1-x", "Europe/Berlin", "unknown weekday 'x'"),
    ],
)
def test_what_cannot_be_said_is_refused(cron, here, message):
    with pytest.raises(UsageError, match=message):
        translated(cron, zone(here), UTC, WINTER)


def test_an_unknown_zone_is_named():
    with pytest.raises(UsageError, match=r"unknown time zone 'Mars/Olympus'"):
        zone("Mars/Olympus")
