"""Homes of nine weeks, hour by hour, that the tests of the spikes stage share.

A part of the traffic is a combination of dimensions with what it does in an hour. The last day is
judged: Monday 2026-11-23, its hours and the day itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl

from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY
from opsmeter_pipeline.spikes import (
    SPIKE_RULES,
    Search,
    Spike,
    SpikeRules,
    Traffic,
    find_spikes,
    fold_spikes,
)
from opsmeter_pipeline.spikes.find import HISTORY, Known
from opsmeter_pipeline.spikes.search import PLACE, SUMS, choose_series, stack_series

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
END = datetime(2026, 11, 24, tzinfo=UTC)
START = END - DAY
FIRST = START - 8 * WEEK
NOON = START + 12 * HOUR
SEARCH = Search(START, END)
CENT = Decimal("0.01")
_MONEY = {name for name in SUMS if name.endswith("_usd")}


@dataclass(frozen=True)
class Did:
    """What one part of the traffic did in an hour; a request costs a cent unless told."""

    requests: int
    each_usd: Decimal | None = CENT
    failures: int = 0
    tokens_each: int = 1000
    late: bool = False


Doing = Callable[[datetime], Did | None]
Part = tuple[str, str, str]
"""An endpoint, a model of openai, a tenant."""


def steady(at: datetime, *, requests: int = 200) -> Did:
    """About so many requests: 5 % more or less, by a fixed pattern that repeats in no week."""
    number = int((at - FIRST) / HOUR)
    return Did(requests + requests * ((number * 37) % 11 - 5) // 100)


def like(doing: Doing, **changed: Did | None) -> Doing:
    """Do as before but in hours of the judged day, named `h12` and so on."""
    return lambda at: changed.get(f"h{at.hour:02}", doing(at)) if at >= START else doing(at)


def cells_of(parts: Mapping[Part, Doing], *, first: datetime = FIRST) -> pl.DataFrame:
    """Return all hours of all parts, as `stack_series` takes them."""
    hours = [first + n * HOUR for n in range(int((END - first) / HOUR))]
    rows = [_row(part, at, did) for at in hours for part, doing in parts.items()
            if (did := doing(at)) is not None]  # fmt: skip
    kinds = {name: pl.Decimal(38, 18) if name in _MONEY else pl.Int64 for name in SUMS}
    names = {"endpoint_tag": pl.String, "provider": pl.String, "model": pl.String,
             "tenant_id": pl.String}  # fmt: skip
    schema = {"at": ATTRIBUTION_HOURLY.schema["hour_at"], **names, "is_late": pl.Boolean, **kinds}
    return pl.DataFrame(rows, schema=schema)


def traffic_of(cells: pl.DataFrame, rules: SpikeRules = SPIKE_RULES) -> Traffic:
    """Return what storage would read of these cells."""
    judged, before = cells.filter(pl.col("at") >= START), cells.filter(pl.col("at") < START)
    past = stack_series(before).group_by(*PLACE, "at").agg(pl.col(HISTORY).sum())
    days = past.group_by(*PLACE, pl.col("at").dt.truncate("1d")).agg(pl.col(HISTORY).sum())
    series = choose_series(stack_series(judged), rules)
    return Traffic(
        judged,
        series,
        (Known(past, past.select("at").unique()),),
        Known(days, days.select("at").unique()),
    )


def look(cells: pl.DataFrame, rules: SpikeRules = SPIKE_RULES) -> list[Spike]:
    """Return the spikes of the last day."""
    return fold_spikes(find_spikes(traffic_of(cells, rules), SEARCH, rules),
                       cells.filter(pl.col("at") >= START), rules)  # fmt: skip


def names_of(spikes: list[Spike]) -> list[tuple[str, str, str, int]]:
    """Return kind, window, value and hour of what is told itself."""
    return [(one.kind, one.rule_window, one.value, one.window_start_at.hour) for one in spikes
            if one.is_lead]  # fmt: skip


def _row(part: Part, at: datetime, did: Did) -> dict[str, object]:
    endpoint, model, tenant = part
    priced = did.each_usd is not None
    return {
        "at": at, "endpoint_tag": endpoint, "provider": "openai", "model": model,
        "tenant_id": tenant, "is_late": did.late, "attempts": did.requests,
        "requests": did.requests, "failures": did.failures,
        "tokens": did.requests * did.tokens_each,
        "cost_usd": did.requests * did.each_usd if did.each_usd is not None else Decimal(),
        "unpriced_attempts": 0 if priced else did.requests, "unbounded_attempts": 0,
        "unpriced_low_usd": Decimal(), "unpriced_high_usd": Decimal() if priced else
        did.requests * CENT,
    }  # fmt: skip
