"""Days of a time zone, as exact spans of instants.

A day is all instants that a clock on the wall there dates with it: 23, 24 or 25 hours, or half an
hour more or less, or none where a zone skipped a day. Rules are those of the IANA database, read
by `zoneinfo`. Sums over such days stand in `storage.days`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from opsmeter_pipeline.model.clock import start_of_day
from opsmeter_pipeline.model.errors import DayRangeError, UnknownZoneError

MAX_DAYS = 3_660
_HOUR, _MINUTE, _SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
_FARTHEST = timedelta(hours=25)
"""More than any local midnight is from the same date's UTC midnight, a skipped day included."""
_NEAR = 3
_FIRST, _LAST = date(1900, 1, 1), date(9998, 12, 31)


@dataclass(frozen=True)
class Span:
    """Instants of one local day, all within one UTC hour.

    Attributes:
        day: their local date.
        start: the first instant (UTC).
        end: the first instant after (UTC).
    """

    day: date
    start: datetime
    end: datetime

    @property
    def hour_at(self) -> datetime:
        """The start of the UTC hour it lies in."""
        return self.start.replace(minute=0, second=0, microsecond=0)

    @property
    def is_whole_hour(self) -> bool:
        """Whether it is all of its UTC hour."""
        return self.end - self.start == _HOUR


def open_zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name.

    Raises:
        UnknownZoneError: there is none of that name.
    """
    known = _known_zones()  # a name alone could be a path, or a zone with leap seconds
    if name not in known:
        folded = {one.casefold(): one for one in sorted(known)}
        asked = name.strip().replace(" ", "_").casefold()
        last = [one for low, one in folded.items() if low.rsplit("/", maxsplit=1)[-1] == asked]
        alike = get_close_matches(asked, folded, n=_NEAR)
        near = dict.fromkeys([*last, *(folded[one] for one in alike)])
        raise UnknownZoneError(name, [*near][:_NEAR])
    return ZoneInfo(name)


@cache
def _known_zones() -> frozenset[str]:
    """Return all names; looking through the database takes 10 ms."""
    return frozenset(available_timezones())


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    """Return the date that a clock in the zone shows at an instant.

    >>> evening = start_of_day(date(2026, 11, 23)) + timedelta(hours=18, minutes=15)
    >>> local_date(evening, ZoneInfo("Asia/Kathmandu"))
    datetime.date(2026, 11, 24)
    """
    return instant.astimezone(zone).date()


def span_days(zone: ZoneInfo, first: date, last: date) -> list[Span]:
    """Return the spans of these days, in order; together they leave no instant out, nor twice.

    A UTC hour within a day is one span. One in which the date changes is several, cut at the
    second, in case of need more than two: clocks that are set back at 00:01 show a date twice.

    Raises:
        DayRangeError: the range is empty, too long or outside 1900 to 9998.
    """
    if not _FIRST <= first <= last <= _LAST or (last - first).days >= MAX_DAYS:
        raise DayRangeError(first, last, MAX_DAYS)
    start = start_of_day(first) - _FARTHEST
    end = start_of_day(last) + _FARTHEST + timedelta(days=1)
    hours = (start + nth * _HOUR for nth in range((end - start) // _HOUR))
    return [span for hour_at in hours for span in _cut(hour_at, zone) if first <= span.day <= last]


def _cut(hour_at: datetime, zone: ZoneInfo) -> Iterator[Span]:
    """Yield the spans of one UTC hour."""
    end = hour_at + _HOUR
    opens, closes = hour_at.astimezone(zone), (end - _SECOND).astimezone(zone)
    if opens.date() == closes.date() and opens.utcoffset() == closes.utcoffset():
        yield Span(opens.date(), hour_at, end)
        return
    start = hour_at
    for cut in [*_find_cuts(hour_at, zone), end]:
        yield Span(local_date(start, zone), start, cut)
        start = cut


def _find_cuts(hour_at: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the instants within an hour at which the date changes."""
    for nth in range(60):
        start, step = hour_at + nth * _MINUTE, _MINUTE
        before = local_date(start, zone)
        if local_date(start + step, zone) == before:
            continue
        while step > _SECOND:  # the first second of the other date lies in (start, start + step]
            half = timedelta(seconds=step.seconds // 2)
            is_before = local_date(start + half, zone) == before
            start, step = (start + half, step - half) if is_before else (start, half)
        if start + step < hour_at + _HOUR:
            yield start + step
