"""What a period will have cost at its end, when it will be exceeded, and how fast it is spent.

Each of the last weeks is asked: if the rest of the period goes on as those hours of that week did,
what will it have cost? The answers' median is the forecast, their range the interval (ADR 0031).
Estimates only: nothing here is part of a total.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import accumulate

from opsmeter_pipeline.budget.hours import (
    WEEK_HOURS,
    Usage,
    cut_hours,
    number_hour,
    place_in_week,
    start_of_hour,
)
from opsmeter_pipeline.budget.periods import Period
from opsmeter_pipeline.budget.states import Spend
from opsmeter_pipeline.model.budget import DAILY, Budget

WEEKS = 8
"""How many past weeks are asked at most."""
INTERVAL_WEEKS = 4
"""Fewer weeks make no interval. Of n weeks that are alike, the next lies within the range of the
ones before with a probability of (n - 1) / (n + 1): 60 % of 4, 78 % of 8."""
_WEIGHTS = (1000, 707, 500, 354, 250, 177, 125, 88)
"""How much a week counts in the median: half as much two weeks earlier."""
_LEAST_PART = 24
"""A pace is told once this part of the period has gone by, by its length divided."""
BURN_HOURS = {DAILY: 3, "monthly": 24}
"""Over how many hours a pace is taken."""
_MICRO = Decimal("0.000001")

Profile = Sequence[Decimal]
"""What is spent in each hour of a week, from Monday 00:00 on the zone's clocks."""


@dataclass(frozen=True)
class Burn:
    """How fast is spent now.

    Attributes:
        rate: by what is usual; 1 is usual.
        against: what is usual: `weeks` or `limit`.
    """

    rate: Decimal
    against: str


@dataclass(frozen=True)
class Forecast:
    """What will be.

    Attributes:
        usd: what the period will have cost at its end; None if too little is known.
        low_usd: lower end; None without an interval.
        high_usd: upper end; None likewise, and if nobody can tell.
        by: `weeks` or `pace`; None without a forecast.
        weeks: how many past weeks it is made from.
        exceeds_at: start of the hour in which it passes the limit; None if it does not.
        exceeds_soonest_at: the same at the upper end.
    """

    usd: Decimal | None = None
    low_usd: Decimal | None = None
    high_usd: Decimal | None = None
    by: str | None = None
    weeks: int = 0
    exceeds_at: datetime | None = None
    exceeds_soonest_at: datetime | None = None


@dataclass(frozen=True)
class Question:
    """A period that is not over.

    Attributes:
        budget: what may be spent.
        period: in which.
        spend: what was spent of it so far.
        usage: hour by hour, some weeks back.
        known_hour: the hour from which on it is not known whether all is there.
    """

    budget: Budget
    period: Period
    spend: Spend
    usage: Usage
    known_hour: int

    @property
    def rest(self) -> list[tuple[int, Decimal]]:
        """The hours of the period that are to come, and which part of each."""
        known_at = start_of_hour(self.known_hour)
        return cut_hours(max(known_at, self.period.start_at), self.period.end_at)

    @property
    def early_usd(self) -> Decimal:
        """What was spent of the period in hours that are not known whole."""
        if start_of_hour(self.known_hour) <= self.period.start_at:
            return self.spend.low_usd
        newest = max(self.usage.lows, default=self.known_hour)
        return self.usage.sum_hours(self.known_hour, newest + 1)

    @property
    def weeks(self) -> int:
        """How many past weeks have been seen whole."""
        first = self.usage.first_hour
        if first is None:
            return 0
        return max(0, min((self.known_hour - first) // WEEK_HOURS, WEEKS))


@dataclass(frozen=True)
class _Way:
    """How the rest of a period may go on.

    Attributes:
        before_usd: what was spent in hours that are known whole.
        early_usd: what was spent after them; the rest costs no less.
        rest: the hours to come, with what is spent in each.
    """

    before_usd: Decimal
    early_usd: Decimal
    rest: Sequence[tuple[int, Decimal]]

    @property
    def total_usd(self) -> Decimal:
        to_come = sum((usd for _, usd in self.rest), Decimal(0))
        return (self.before_usd + max(self.early_usd, to_come)).quantize(_MICRO)

    def find_crossing(self, limit_usd: Decimal) -> datetime | None:
        spent = accumulate((usd for _, usd in self.rest), initial=self.before_usd)
        crossed = (
            hour for (hour, _), usd in zip(self.rest, list(spent)[1:], strict=True)
            if usd > limit_usd
        )  # fmt: skip
        return next(map(start_of_hour, crossed), None)


def measure_burn(asked: Question, profiles: Mapping[int, Profile]) -> Burn | None:
    """Return how fast is spent; None if nothing was.

    Args:
        asked: the budget and its spend.
        profiles: `profile_weeks` of it. The newest week holds the hours that are judged.
    """
    hours = BURN_HOURS[asked.budget.period]
    start = asked.known_hour - hours
    spent = asked.usage.sum_hours(start, asked.known_hour)
    if not spent:
        return None
    slots = place_in_week(asked.budget.zone, start, asked.known_hour)
    usual = {
        week: sum((profile[slot] for slot in slots), Decimal(0))
        for week, profile in profiles.items()
        if week > 1
    }
    if usual and usual[_find_median(usual)]:
        return Burn(spent / usual[_find_median(usual)], "weeks")
    period = asked.period
    length = Decimal((period.end_at - period.start_at).total_seconds()) / 3600
    return Burn(spent / (asked.budget.limit_usd * hours / length), "limit")


def predict(asked: Question, profiles: Mapping[int, Profile], burn: Burn | None) -> Forecast:
    """Return what a period will have cost, by past weeks, or by its own pace if there are none.

    Args:
        asked: the budget and its spend.
        profiles: `profile_weeks` of it.
        burn: how fast is spent; the interval also holds what that makes of the usual.
    """
    if not profiles:
        return _predict_by_pace(asked)
    ways = {week: _continue(asked, profile) for week, profile in profiles.items()}
    totals = {week: way.total_usd for week, way in ways.items()}
    middle = _find_median(totals)
    limit_usd = asked.budget.limit_usd
    found = Forecast(
        totals[middle], by="weeks", weeks=len(ways),
        exceeds_at=ways[middle].find_crossing(limit_usd),
    )  # fmt: skip
    if len(ways) < INTERVAL_WEEKS:
        return found
    every = [*ways.values()]
    if burn and burn.against == "weeks":
        every.append(_continue(asked, [usd * burn.rate for usd in profiles[middle]]))
    lowest = min(way.total_usd for way in every)
    highest = max(every, key=lambda way: way.total_usd)
    high_usd = asked.spend.high_usd
    return Forecast(
        found.usd, lowest,
        None if high_usd is None else highest.total_usd + high_usd - asked.spend.low_usd,
        "weeks", len(ways), found.exceeds_at, highest.find_crossing(limit_usd),
    )  # fmt: skip


def profile_weeks(asked: Question) -> dict[int, Profile]:
    """Return what was spent in each hour of each past week; week 1 ends where knowledge ends.

    An hour that clocks showed twice counts by its mean; one that they skipped, as the one before.
    """
    return {week: _profile(asked, week) for week in range(1, asked.weeks + 1)}


def _profile(asked: Question, week: int) -> Profile:
    end = asked.known_hour - WEEK_HOURS * (week - 1)
    spent = [Decimal(0)] * WEEK_HOURS
    seen = [0] * WEEK_HOURS
    lows = asked.usage.lows
    start = end - WEEK_HOURS
    for hour, slot in enumerate(place_in_week(asked.budget.zone, start, end), start=start):
        seen[slot] += 1
        if hour in lows:
            spent[slot] += lows[hour]
    for slot in (slot for slot, times in enumerate(seen) if times != 1):
        spent[slot] = spent[slot] / seen[slot] if seen[slot] else spent[slot - 1]
    return spent


def _continue(asked: Question, profile: Profile) -> _Way:
    rest = asked.rest
    first, last = (rest[0][0], rest[-1][0]) if rest else (0, -1)
    slots = place_in_week(asked.budget.zone, first, last + 1)
    early = asked.early_usd
    return _Way(
        asked.spend.low_usd - early,
        early,
        [(hour, profile[slot] * part) for (hour, part), slot in zip(rest, slots, strict=True)],
    )


def _predict_by_pace(asked: Question) -> Forecast:
    """Return the naive projection: on average as the period so far, since it has traffic."""
    first = asked.usage.first_hour
    start = number_hour(asked.period.start_at)
    since = start if first is None else max(start, first)
    hours = asked.known_hour - since
    length = number_hour(asked.period.end_at) - start
    if hours < 1 or hours * _LEAST_PART < length:
        return Forecast()
    hourly = (asked.spend.low_usd - asked.early_usd) / hours
    way = _continue(asked, [hourly] * WEEK_HOURS)
    return Forecast(
        way.total_usd, by="pace", exceeds_at=way.find_crossing(asked.budget.limit_usd)
    )  # fmt: skip


def _find_median(values: Mapping[int, Decimal]) -> int:
    """Return the week whose value is the weighted median: half of the weight is not above it."""
    ordered = sorted(values, key=lambda week: (values[week], week))
    whole = sum(_WEIGHTS[week - 1] for week in ordered)
    below = accumulate(_WEIGHTS[week - 1] for week in ordered)
    return next(week for week, weight in zip(ordered, below, strict=True) if 2 * weight >= whole)
