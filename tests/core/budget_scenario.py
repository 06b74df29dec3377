"""Budgets over events written out by hand: each is dated by itself, on the clocks of the zone.

`stand` sums events up as the warehouse does, but by a plain walk over them, and judges them.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from opsmeter_pipeline.budget import (
    Asked,
    Known,
    Look,
    Spend,
    Spent,
    Touched,
    build_rows,
    plan,
    read_known,
)
from opsmeter_pipeline.budget.hours import Usage
from opsmeter_pipeline.model.budget import Budget
from opsmeter_pipeline.model.watermark import Watermark

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
"""A Monday."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Spending(NamedTuple):
    """One event: when, and what it cost; without a price, what it may cost (None is no bound)."""

    at: datetime
    usd: str | None = None
    low: str = "0"
    high: str | None = None


def budget(limit: str = "100", **told: Any) -> Budget:
    return Budget(**{"name": "support", "limit_usd": limit} | told)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def hourly(start: datetime, end: datetime, usd: str) -> list[Spending]:
    """Return an event at the start of each hour."""
    hours = (end - start) // HOUR
    return [Spending(start + nth * HOUR, usd) for nth in range(hours)]


def add_up(events: Iterable[Spending]) -> Spend:
    events = [*events]
    unpriced = [one for one in events if one.usd is None]
    return Spend(
        len(events), len(unpriced), sum(one.high is None for one in unpriced),
        sum((Decimal(one.usd) for one in events if one.usd), Decimal(0)),
        sum((Decimal(one.low) for one in unpriced), Decimal(0)),
        sum((Decimal(one.high) for one in unpriced if one.high), Decimal(0)),
    )  # fmt: skip


def is_within(one: Budget, name: str, at: datetime) -> bool:
    """Return whether a clock on the wall dates an instant with the period of that name."""
    local = f"{at.astimezone(ZoneInfo(one.zone)):%Y-%m-%d}"
    return local.startswith(name)


def low_of(events: Iterable[Spending]) -> Decimal:
    return add_up(events).low_usd


def measure(asked: Asked, events: Sequence[Spending]) -> Spent:
    period = asked.period
    spend = add_up(one for one in events if is_within(asked.budget, period.name, one.at))
    by_hour: dict[int, list[Spending]] = {}
    for one in events:
        by_hour.setdefault((one.at - EPOCH) // HOUR, []).append(one)
    lows = {number: low_of(of_it) for number, of_it in by_hour.items()}
    parts = {
        (part.start, part.end): low_of(of_it)
        for part in period.parts
        if (of_it := [e for e in events if part.start <= e.at < part.end])
    }
    return Spent(spend, Usage(lows, parts))


def look_at(now: datetime, *, through: datetime | None = None, changes: int = 0) -> Look:
    watermark = Watermark(now, through or now, 0, 0, 86_400)
    return Look(now, watermark, changes, 1)


def refresh(
    budgets: Sequence[Budget],
    events: Sequence[Spending],
    *,
    now: datetime,
    rows: Sequence[dict[str, Any]] = (),
    touched: Sequence[Touched] = (),
    through: datetime | None = None,
    changes: int = 0,
) -> list[dict[str, Any]]:
    """Return the rows that a look computes as the job does, from the rows of the look before."""
    known: list[Known] = read_known(rows)
    asked = plan(budgets, known, touched, now=now)
    spent = [measure(one, events) for one in asked]
    look = look_at(now, through=through, changes=changes)
    return build_rows(asked, spent, {}, look=look).to_dicts()


def stand(one: Budget, events: Sequence[Spending], *, now: datetime = NOON) -> dict[str, Any]:
    """Return how a budget stands in its present period."""
    return refresh([one], events, now=now)[-1]
