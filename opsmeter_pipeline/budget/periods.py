"""Which days and months a budget runs in: calendar periods of its time zone, pure of any clock.

A period is all instants that a clock on the wall dates with one of its days: months of 28 to 31
days, days of 23 to 25 hours. The rules of zones stand in `model.zones`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from opsmeter_pipeline.model.budget import DAILY, Budget
from opsmeter_pipeline.model.zones import Span, local_date, open_zone, span_days

_KEPT = 1024


@dataclass(frozen=True)
class Period:
    """One day or month of a zone.

    Attributes:
        name: such as `2026-11` or `2026-11-28`.
        spans: all of it, in order, each within one UTC hour.
    """

    name: str
    spans: tuple[Span, ...]

    @property
    def start_at(self) -> datetime:
        """Its first instant (UTC)."""
        return self.spans[0].start

    @property
    def end_at(self) -> datetime:
        """The first instant after it (UTC)."""
        return self.spans[-1].end

    @property
    def parts(self) -> list[Span]:
        """Its spans that are no whole UTC hour: at its borders in zones of half hours."""
        return [span for span in self.spans if not span.is_whole_hour]

    def is_over(self, now: datetime) -> bool:
        """Return whether it has ended."""
        return self.end_at <= now


def find_period(budget: Budget, at: datetime) -> Period:
    """Return the budget's period in which an instant lies."""
    day = local_date(at, open_zone(budget.zone))
    return _build_period(budget.zone, *_limit_days(day, budget.period))


def list_periods(budget: Budget, *, since: datetime, now: datetime, limit: int) -> list[Period]:
    """Return the periods from an instant's to the present one, of many the newest, in order."""
    found = [find_period(budget, now)]
    while found[-1].start_at > since and len(found) < limit:
        found.append(find_period(budget, found[-1].start_at - timedelta(microseconds=1)))
    return found[::-1]


def touches(period: Period, days: Sequence[date]) -> bool:
    """Return whether some of these UTC days share an instant with a period."""
    first, last = period.start_at.date(), (period.end_at - timedelta(microseconds=1)).date()
    return any(first <= day <= last for day in days)


def _limit_days(day: date, kind: str) -> tuple[date, date]:
    """Return the first and last day of the day's period.

    >>> _limit_days(date(2028, 2, 10), "monthly")
    (datetime.date(2028, 2, 1), datetime.date(2028, 2, 29))
    """
    if kind == DAILY:
        return day, day
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


@lru_cache(maxsize=_KEPT)
def _build_period(zone: str, first: date, last: date) -> Period:
    # Kept, because many budgets have the same: walking through a month's hours takes 2 ms.
    name = f"{first}" if first == last else f"{first:%Y-%m}"
    return Period(name, tuple(_join(span_days(open_zone(zone), first, last))))


def _join(spans: Sequence[Span]) -> Iterator[Span]:
    """Yield spans of which neighbours within an hour are one, as only the period's ends count."""
    held: Span | None = None
    for span in spans:
        if held and held.end == span.start and held.hour_at == span.hour_at:
            held = Span(held.day, held.start, span.end)
            continue
        if held:
            yield held
        held = span
    if held:
        yield held
