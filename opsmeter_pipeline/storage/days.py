"""Exact totals of production by the days of any time zone.

A UTC hour that lies within a day is summed from the cube. Only hours in which a day ends, in zones
that are half an hour or a quarter off, are summed from `events`. Both are read of one snapshot.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl

from opsmeter_pipeline.model.sql import OF_EVENT, PRODUCTION
from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY
from opsmeter_pipeline.model.zones import Span, local_date, span_days
from opsmeter_pipeline.storage.lake import Lake, fetch

MEASURES = ("requests", "attempts", "cost_usd", "unpriced_attempts", "unbounded_attempts",
            "unpriced_low_usd", "unpriced_high_usd", "input_tokens", "cache_read_tokens",
            "output_tokens")  # fmt: skip
"""What is summed of a day, in order."""
SHOWN_DAYS = 30
"""How many days are shown if none are asked for."""
_SCHEMA = {"hour_at": ATTRIBUTION_HOURLY.schema["hour_at"], "day": pl.Date(),
           **{name: ATTRIBUTION_HOURLY.schema[name] for name in MEASURES}}  # fmt: skip
_KINDS = {name: "DECIMAL(38,18)" if name.endswith("_usd") else "BIGINT" for name in MEASURES}
_HOURS = f"""
    SELECT hour_at, {", ".join(f"sum({n})::{kind} AS {n}" for n, kind in _KINDS.items())}
    FROM attribution_hourly WHERE {PRODUCTION} AND hour_at >= $1 AND hour_at < $2 GROUP BY hour_at
"""
_HOUR = "(epoch_us({}) + 62135596800000000) // 3600000000"
"""The number of an instant's UTC hour, from year 1 on: a plain number joins quickest."""
_SUMMED = ", ".join(
    f"coalesce(sum({OF_EVENT.get(name, name)}), 0)::{kind} AS {name}"
    for name, kind in _KINDS.items()
)
_SPANS = f"""
    SELECT nth, {_SUMMED}
    FROM events JOIN (VALUES {{}}) spans(nth, span_start, span_end)
        ON {_HOUR.format("occurred_at")} = {_HOUR.format("span_start")}
        AND occurred_at >= span_start AND occurred_at < span_end
    WHERE {PRODUCTION} AND occurred_at >= $1 AND occurred_at < $2 GROUP BY nth
"""
_LAST_EVENT = f"SELECT max(occurred_at) FROM events WHERE {PRODUCTION} AND occurred_at >= $1"
_LAST_HOUR = f"SELECT max(hour_at) FROM attribution_hourly WHERE {PRODUCTION}"


def read_days(
    lake: Lake, zone: ZoneInfo, *, first: date | None = None, last: date | None = None
) -> list[dict[str, Any]]:
    """Return a row for each day of a range, also if all is 0: `day`, its `hours`, and `MEASURES`.

    `priced_share` is the part of its attempts that has a price, null without one. The most that the
    others may cost is null where of one of them nobody can tell.

    Args:
        lake: the warehouse.
        zone: whose days are meant.
        first: first day; None is `SHOWN_DAYS` up to the last.
        last: last day; None is the last one with production traffic, but not before the first.

    Raises:
        DayRangeError: the range is empty or too long.
        WarehouseMissingError: there is no warehouse yet.
    """
    with lake.connect(read_only=True, all_cores=True) as con:
        newest = last or _find_last_day(con, zone)
        if newest is None:
            return []
        end = newest if last or not first else max(first, newest)
        start = first or end - timedelta(days=SHOWN_DAYS - 1)
        spans = span_days(zone, start, end)
        totals = _sum_days(con, spans) if spans else {}
    zero = _total([])
    hours = _count_hours(spans)
    days = (start + timedelta(days=nth) for nth in range((end - start).days + 1))
    return [
        {"day": day, "hours": hours.get(day, 0.0)} | _tell_unpriced(totals.get(day, zero))
        for day in days
    ]


def sum_days(days: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the sum of `hours` and `MEASURES` over days, with its own `priced_share`."""
    return {"hours": sum(day["hours"] for day in days)} | _tell_unpriced(_total(days))


def _find_last_day(con: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> date | None:
    hour_at = fetch(con, _LAST_HOUR).item()
    if hour_at is None:
        return None
    return local_date(fetch(con, _LAST_EVENT, [hour_at]).item(), zone)


def _sum_days(con: duckdb.DuckDBPyConnection, spans: Sequence[Span]) -> dict[date, dict[str, Any]]:
    """Return the measures of each day that has production traffic."""
    hours = fetch(con, _HOURS, [spans[0].hour_at, spans[-1].end])
    busy = set(hours["hour_at"])
    places = [(span.hour_at, span.day) for span in spans if span.is_whole_hour]
    keys = {"hour_at": _SCHEMA["hour_at"], "day": _SCHEMA["day"]}
    whole = pl.DataFrame(places, schema=keys, orient="row")
    split = [span for span in spans if not span.is_whole_hour and span.hour_at in busy]
    every = pl.concat([
        hours.join(whole, on="hour_at").select(*_SCHEMA),
        _sum_spans(con, split),
    ])  # fmt: skip
    summed = every.group_by("day").agg(pl.col(MEASURES).sum())
    return {row.pop("day"): row for row in summed.iter_rows(named=True)}


def _sum_spans(con: duckdb.DuckDBPyConnection, spans: Sequence[Span]) -> pl.DataFrame:
    """Return the measures of spans that have production events, all by one look at `events`."""
    if not spans:
        return pl.DataFrame(schema=_SCHEMA)
    values = ", ".join(
        f"({nth}, TIMESTAMPTZ '{span.start}', TIMESTAMPTZ '{span.end}')"
        for nth, span in enumerate(spans)
    )
    found = fetch(con, _SPANS.format(values), [spans[0].start, spans[-1].end])
    places = pl.DataFrame(
        [(nth, span.hour_at, span.day) for nth, span in enumerate(spans)],
        schema={"nth": found.schema["nth"], "hour_at": _SCHEMA["hour_at"], "day": pl.Date},
        orient="row",
    )
    return found.join(places, on="nth").select(*_SCHEMA)


def _count_hours(spans: Sequence[Span]) -> dict[date, float]:
    """Return how many hours each day has."""
    lengths: dict[date, timedelta] = {}
    for day, of_day in groupby(spans, key=lambda span: span.day):
        length = sum((span.end - span.start for span in of_day), timedelta())
        lengths[day] = lengths.get(day, timedelta()) + length
    return {day: length / timedelta(hours=1) for day, length in lengths.items()}


def _total(days: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        name: sum((day[name] or 0 for day in days), Decimal(0) if name.endswith("_usd") else 0)
        for name in MEASURES
    }


def _tell_unpriced(sums: dict[str, Any]) -> dict[str, Any]:
    """Return a total with the share that has a price, and no bound that is none."""
    attempts, unpriced = sums["attempts"], sums["unpriced_attempts"]
    share = round((attempts - unpriced) / attempts, 6) if attempts else None
    high = None if sums["unbounded_attempts"] else sums["unpriced_high_usd"]
    return sums | {"unpriced_high_usd": high, "priced_share": share}
