"""Hours as a budget's spend is told in: numbers since 1970, and their place in a zone's week."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from opsmeter_pipeline.budget.periods import Period

HOUR = timedelta(hours=1)
WEEK_HOURS = 168
_SECONDS = 3600
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Usage:
    """What a budget's events cost, hour by hour.

    Attributes:
        lows: the least they cost by UTC hour, numbered; an hour without events is left out.
        parts: the same of parts of hours at periods' borders, by their first instant and the first
            after them.
    """

    lows: Mapping[int, Decimal]
    parts: Mapping[tuple[datetime, datetime], Decimal]

    @property
    def first_hour(self) -> int | None:
        """The first hour that has events."""
        return min(self.lows, default=None)

    def sum_hours(self, start: int, end: int) -> Decimal:
        """Return what was spent from one hour up to another."""
        return sum((self.lows.get(hour, Decimal(0)) for hour in range(start, end)), Decimal(0))

    def follow(self, period: Period) -> list[tuple[datetime, Decimal]]:
        """Return the period's hours that have events, in order, and what was spent by their end."""
        followed: list[tuple[datetime, Decimal]] = []
        total = Decimal(0)
        for span in period.spans:
            low = (
                self.lows.get(number_hour(span.start))
                if span.is_whole_hour
                else self.parts.get((span.start, span.end))
            )
            if low is not None:
                total += low
                followed.append((span.start, total))
        return followed


def number_hour(at: datetime) -> int:
    """Return the number of an instant's UTC hour."""
    return (at - _FIRST) // HOUR


def start_of_hour(number: int) -> datetime:
    """Return the first instant of a numbered hour."""
    return _FIRST + number * HOUR


@lru_cache(maxsize=64)
def place_in_week(zone: str, start: int, end: int) -> Sequence[int]:
    """Return the hour of the week, 0 to 167 on the zone's clocks, of each of these hours."""
    clock = ZoneInfo(zone)
    local = (datetime.fromtimestamp(hour * _SECONDS, clock) for hour in range(start, end))
    return [at.weekday() * 24 + at.hour for at in local]


def cut_hours(start_at: datetime, end_at: datetime) -> list[tuple[int, Decimal]]:
    """Return the hours between two instants and which part of each lies between them, 0 to 1.

    >>> at = datetime(1970, 1, 1, 0, 30, tzinfo=UTC)
    >>> cut_hours(at, at + timedelta(minutes=45))
    [(0, Decimal('0.5')), (1, Decimal('0.25'))]
    """
    if start_at >= end_at:
        return []
    first, last = number_hour(start_at), number_hour(end_at - timedelta(microseconds=1))
    cuts = [start_at, *(start_of_hour(hour) for hour in range(first + 1, last + 1)), end_at]
    lengths = [(after - before) // timedelta(seconds=1) for before, after in pairwise(cuts)]
    return [(first + nth, Decimal(seconds) / _SECONDS) for nth, seconds in enumerate(lengths)]
