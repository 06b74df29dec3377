"""Days of a zone are exact spans: half hours, quarters, both DST days, skipped dates."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from opsmeter_pipeline.model.errors import DayRangeError, UnknownZoneError
from opsmeter_pipeline.model.zones import Span, local_date, open_zone, span_days

HOUR = timedelta(hours=1)


def _utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def _span(zone: str, day: date, last: date | None = None) -> list[Span]:
    return span_days(open_zone(zone), day, last or day)


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("UTC", date(2026, 11, 23), _utc(2026, 11, 23), 24),
        ("Asia/Kolkata", date(2026, 11, 23), _utc(2026, 11, 22, 18, 30), 24),
        ("Asia/Kathmandu", date(2026, 11, 23), _utc(2026, 11, 22, 18, 15), 24),
        ("Pacific/Kiritimati", date(2026, 11, 23), _utc(2026, 11, 22, 10), 24),
        ("America/St_Johns", date(2026, 11, 23), _utc(2026, 11, 23, 3, 30), 24),
        ("America/New_York", date(2026, 3, 8), _utc(2026, 3, 8, 5), 23),
        ("America/New_York", date(2026, 11, 1), _utc(2026, 11, 1, 4), 25),
        ("Europe/Berlin", date(2026, 3, 29), _utc(2026, 3, 28, 23), 23),
        ("Europe/Berlin", date(2026, 10, 25), _utc(2026, 10, 24, 22), 25),
        # Half an hour of summer time: 11 hours ahead in summer, 10.5 in winter.
        ("Australia/Lord_Howe", date(2026, 4, 5), _utc(2026, 4, 4, 13), 24.5),
        ("Australia/Lord_Howe", date(2026, 10, 4), _utc(2026, 10, 3, 13, 30), 23.5),
        ("Australia/Lord_Howe", date(2026, 7, 1), _utc(2026, 6, 30, 13, 30), 24),
        # The clock jumps from 00:00 to 01:00: the day begins at 01:00.
        ("Africa/Cairo", date(2026, 4, 24), _utc(2026, 4, 23, 22), 23),
        ("America/Havana", date(2026, 11, 1), _utc(2026, 11, 1, 4), 25),
    ],
)
def test_a_day_is_all_instants_of_its_date(
    zone: str, day: date, start: datetime, hours: float
) -> None:
    spans = _span(zone, day)
    assert spans[0].start == start
    assert spans[-1].end == start + hours * HOUR
    assert all(one.end == next_.start for one, next_ in pairwise(spans))
    assert {span.day for span in spans} == {day}
    whole = [span for span in spans if span.is_whole_hour]
    assert len(spans) - len(whole) <= 3


def test_a_day_the_zone_skipped_has_no_instant() -> None:
    """Samoa went from 29 to 31 December 2011 over the date line."""
    assert _span("Pacific/Apia", date(2011, 12, 30)) == []
    spans = _span("Pacific/Apia", date(2011, 12, 29), date(2011, 12, 31))
    assert [spans[0].start, spans[-1].end] == [_utc(2011, 12, 29, 10), _utc(2011, 12, 31, 10)]


def test_a_date_that_a_clock_shows_twice_has_both_its_parts() -> None:
    """Newfoundland set its clocks back at 00:01, to 23:01 of the day before."""
    spans = [one for one in _span("America/St_Johns", date(2010, 11, 6), date(2010, 11, 7))
             if not one.is_whole_hour]  # fmt: skip
    assert [(one.day.day, one.start.hour, one.start.minute, one.end.minute) for one in spans] == [
        (6, 2, 30, 0),  # 00:00 of the 6th in summer time
        (6, 2, 0, 30),
        (7, 2, 30, 31),  # one minute of Sunday
        (6, 2, 31, 0),  # Saturday again
        (6, 3, 0, 30),
        (7, 3, 30, 0),
        (7, 3, 0, 30),
    ]


ZONES = ["Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York",
         "Europe/Berlin", "America/St_Johns", "Pacific/Chatham", "Africa/Cairo", "Asia/Gaza",
         "Pacific/Apia", "Africa/Monrovia"]  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("year", [1971, 2010, 2026])
def test_spans_hold_each_instant_once_and_date_it_as_a_clock_does(zone: str, year: int) -> None:
    """Monrovia was 44 minutes and 30 seconds behind until 1972: days begin between minutes."""
    spans = _span(zone, date(year, 1, 1), date(year, 12, 31))
    in_time = sorted(spans, key=lambda one: one.start)
    assert in_time == spans
    for one, after in pairwise(spans):
        assert one.end == after.start
    opened = open_zone(zone)
    for one in spans:
        assert local_date(one.start, opened) == one.day
        assert local_date(one.end - timedelta(microseconds=1), opened) == one.day
        assert one.start.replace(minute=0, second=0) == one.hour_at
        assert one.end - one.hour_at <= HOUR
    assert {one.day.year for one in spans} == {year}


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("Asia/Kolkatta", "Asia/Kolkata"),
        ("asia/kolkata", "Asia/Kolkata"),
        ("new york", "America/New_York"),
        ("Berlin", "Europe/Berlin"),
    ],
)
def test_an_unknown_zone_is_refused_with_what_was_likely_meant(asked: str, near: str) -> None:
    with pytest.raises(UnknownZoneError, match=f"'{asked}'.*Did you mean .*{near}"):
        open_zone(asked)


@pytest.mark.parametrize("asked", ["", "+05:30", "../../etc/passwd", "/etc/localtime", "America",
                                   "right/Europe/Berlin", "\0", "Mars/Olympus_Mons"])  # fmt: skip
def test_what_is_no_zones_name_is_refused(asked: str) -> None:
    with pytest.raises(UnknownZoneError, match="no time zone"):
        open_zone(asked)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2026, 1, 2), date(2026, 1, 1)),
        (date(2010, 1, 1), date(2026, 1, 1)),
        (date(1, 1, 1), date(1, 1, 2)),
        (date(9999, 12, 31), date(9999, 12, 31)),
    ],
)
def test_a_range_that_cannot_be_read_is_refused(first: date, last: date) -> None:
    with pytest.raises(DayRangeError, match=f"{first} to {last} cannot be read"):
        _span("UTC", first, last)
