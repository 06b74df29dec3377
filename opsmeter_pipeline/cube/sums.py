"""Additive sums of a batch's events, by every attribution dimension.

Only what adds up is kept: counts, tokens, money, and latencies as counts per logarithmic bucket.
Any total over any window is then a plain sum of rows, and a late event adds rows under its own
batch without touching old ones. Comes after `price`, before `publish`.

A latency of v >= 1 ms falls into bucket ceil(log v / log 1.02), 0 ms into bucket -1. A percentile
read back from the buckets is off by at most 1 % (half a bucket). Users' buckets are 18 in one and
off by at most 18 %, because there is a row for each user, day and bucket.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl

from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.sql import NO_FAILURE
from opsmeter_pipeline.model.tables import (
    ATTRIBUTION_HOURLY,
    EVENTS,
    INPUT_STEPS,
    LATENCY_HOURLY,
    OUTPUT_STEPS,
    PRICED,
    TOKEN_MOMENTS_HOURLY,
    UNPRICED_HOURLY,
    USERS_DAILY,
    USERS_LATENCY_DAILY,
    dimensions_of,
    name_step,
)

LATENCY_BASE = 1.02
USER_BUCKETS_PER_STEP = 18
_ZERO_BUCKET = -1


Sums = Mapping[Table, pl.DataFrame]
"""Sums of some of a run's lines, by table; they add up with those of the others."""


def sum_events(events: pl.DataFrame, duplicates: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the rows of each cube table for a run's events, by table name.

    Args:
        events: rows of `events`, at least the columns `READS`.
        duplicates: redelivered lines with the dimensions of events; they only count as such.
    """
    return dict(build_cubes([sum_part(events, duplicates)]))


def sum_part(events: pl.DataFrame, duplicates: pl.DataFrame) -> Sums:
    """Return the sums of a part of a run's lines; arguments as for `sum_events`."""
    redelivered = duplicates.select(
        pl.col(name).cast(events.schema[name]) for name in READS if name in _DIMENSIONS
    )
    lines = pl.concat(
        [events.with_columns(is_event=True), redelivered.with_columns(is_event=False)],
        how="diagonal",
    ).lazy()
    lines = to_hour_and_day(lines)
    finished = lines.with_columns(**_FINISHED)
    timed = lines.filter(pl.col("latency_ms").is_not_null())
    unpriced = lines.filter(_IS_EVENT & _COST.is_null())
    fine, coarse = (
        timed.with_columns(latency_bucket=latency_bucket(pl.col("latency_ms"), step=step))
        for step in (1, USER_BUCKETS_PER_STEP)
    )
    plans = {
        USERS_DAILY: _group(lines, USERS_DAILY, _SUMS),
        LATENCY_HOURLY: _group(fine, LATENCY_HOURLY, [_COUNT]),
        USERS_LATENCY_DAILY: _group(coarse, USERS_LATENCY_DAILY, [_COUNT]),
        UNPRICED_HOURLY: _group(unpriced, UNPRICED_HOURLY, _measures_of(UNPRICED_HOURLY)),
        ATTRIBUTION_HOURLY: _group(finished, ATTRIBUTION_HOURLY, [*_SUMS, *_MOMENTS]),
    }
    # One after the other: together they took 1.7 times as long on two cores.
    return {table: plan.collect(engine="streaming") for table, plan in plans.items()}


def build_cubes(parts: Iterable[Sums]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield each cube table's name and its rows for what the parts are of.

    One table after the other, the largest last, and a table's parts are let go of: that bounds the
    memory.
    """
    held = [dict(part) for part in parts]
    for table in tuple(held[0]):
        rows = _add(table, [part.pop(table) for part in held])
        if table is ATTRIBUTION_HOURLY:
            # Of the same groups: grouping once and not twice saves half of what the moments cost.
            moments = rows.lazy().filter(pl.col("finished_attempts") > 0)
            names = TOKEN_MOMENTS_HOURLY.schema.keys()
            yield (
                TOKEN_MOMENTS_HOURLY.name,
                TOKEN_MOMENTS_HOURLY.arrange(moments.select(names).collect()),
            )
        yield table.name, table.arrange(rows)


def _add(table: Table, parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    if len(parts) == 1:
        return parts[0]
    dimensions = dimensions_of(table)
    sums = [pl.col(name).sum() for name in parts[0].columns if name not in dimensions]
    return _group(pl.concat(parts).lazy(), table, sums).collect(engine="streaming")


def to_hour_and_day(events: pl.LazyFrame) -> pl.LazyFrame:
    """Return events with the UTC `hour_at` and `day` in which they occurred."""
    return events.with_columns(
        pl.col("occurred_at").dt.truncate("1h").alias("hour_at"),
        pl.col("occurred_at").dt.date().alias("day"),
    )


def latency_bucket(latency_ms: pl.Expr, *, step: int) -> pl.Expr:
    """Return the bucket of a latency; with a `step`, several fine buckets make one."""
    log = (latency_ms.cast(pl.Float64).log() / math.log(LATENCY_BASE)).ceil()
    wide = (log / step).ceil()
    return pl.when(latency_ms == 0).then(_ZERO_BUCKET).otherwise(wide).cast(pl.Int32)


def _group(lines: pl.LazyFrame, table: Table, measures: Sequence[pl.Expr]) -> pl.LazyFrame:
    return lines.group_by(dimensions_of(table)).agg(measures)


def _count_where(condition: pl.Expr) -> pl.Expr:
    return condition.sum().cast(pl.Int64)


_COUNT = pl.len().cast(pl.Int64).alias("attempts")
TOLD = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "latency_ms")
_COST, _IS_EVENT, _INFERRED = pl.col("cost_usd"), pl.col("is_event"), pl.col("attempt_inferred")
_LOW, _HIGH = "unpriced_low_usd", "unpriced_high_usd"
_FAILED = ~pl.col("outcome").is_in(NO_FAILURE)
_MEASURES: dict[str, pl.Expr] = {
    "requests": _count_where(pl.col("is_first_attempt")),
    "attempts": _count_where(_IS_EVENT),
    "redeliveries": _count_where(~_IS_EVENT),
    "inferred_attempts": _count_where(_INFERRED),
    "failures": _count_where(_FAILED),
    **{name: pl.col(name).sum() for name in ("input_tokens", "output_tokens", *TOLD)},
    "timed_attempts": pl.col("latency_ms").count().cast(pl.Int64),
    "unpriced_attempts": _count_where(_IS_EVENT & _COST.is_null()),
    "unbounded_attempts": _count_where(_IS_EVENT & _COST.is_null() & pl.col(_HIGH).is_null()),
    _LOW: pl.col(_LOW).sum(),
    _HIGH: pl.col(_HIGH).sum(),
    "cost_usd": _COST.sum(),
    "inferred_cost_usd": pl.when(_INFERRED).then(_COST).sum(),
    "failed_cost_usd": pl.when(_FAILED).then(_COST).sum(),
}
"""How each measure sums up over lines. Of a redelivered line all is null but its dimensions, and
what is null adds nothing."""


def _measures_of(table: Table) -> list[pl.Expr]:
    return [measure.alias(name) for name, measure in _MEASURES.items() if name in table.schema]


_IS_FINISHED = _IS_EVENT & ~_FAILED
_FINISHED = {
    **{
        f"finished_{kind}": pl.when(_IS_FINISHED).then(f"{kind}_tokens")
        for kind in ("input", "output")
    },
    "finished_cost": pl.when(_IS_FINISHED & (_COST > 0)).then(_COST.cast(pl.Float64)),
}
"""Null where an event failed: an answer that was cut is no short one."""


def _sum_moments(kind: str) -> dict[str, pl.Expr]:
    tokens = pl.col(f"finished_{kind}")
    log = tokens.clip(1).log()
    steps = {"input": INPUT_STEPS, "output": OUTPUT_STEPS}[kind]
    return {
        f"finished_{kind}_tokens": tokens.sum(),
        f"{kind}_squared": tokens.cast(pl.Float64).pow(2).sum(),
        f"{kind}_log": log.sum(),
        f"{kind}_log_squared": log.pow(2).sum(),
        **{name_step(kind, one): _count_where(tokens > one) for one in steps},
    }


_MOMENTS = [
    sums.alias(name)
    for name, sums in {
        "finished_attempts": _count_where(_IS_FINISHED),
        **_sum_moments("input"),
        **_sum_moments("output"),
        "costed_attempts": pl.col("finished_cost").count().cast(pl.Int64),
        "cost": pl.col("finished_cost").sum(),
        "cost_squared": pl.col("finished_cost").pow(2).sum(),
    }.items()
]
_SUMS = _measures_of(ATTRIBUTION_HOURLY)
_DIMENSIONS = {  # of redelivered lines too
    "occurred_at",
    *(name for table in (ATTRIBUTION_HOURLY, USERS_DAILY) for name in dimensions_of(table)),
}
READS = [
    name
    for name in EVENTS.schema
    if name in {*_DIMENSIONS, "unpriced_reason"}
    or any(name in sum_.meta.root_names() for sum_ in _MEASURES.values())
]
"""The columns of `events` that the sums need."""
PRICED_MEASURES = tuple(
    name for name, sum_ in _MEASURES.items() if {*PRICED} & {*sum_.meta.root_names()}
)
"""The measures that another price would change."""
