"""How surprising an hour or a day is, by its own past: the usual, its spread, and the odds.

A measure is counted in typical requests: `n` is the cost by the series' mean cost per request. Then
`y = asinh(sqrt(n / 100))` grows with the square root of small counts and with the logarithm of
large ones, so that its spread is about the same at night and at noon. Judged in `spikes.find`; the
formulas and what they were measured to do stand in docs/spikes.md.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.spikes.limits import SpikeRules

MEASURES = ("cost_usd", "requests", "tokens")
"""What is judged of each series; ties are told by the first."""
_KNEE = 100
"""Typical requests from which on noise is rather a share of the count than its square root."""
_FLOOR = 0.5 / math.sqrt(_KNEE)
"""Spread of `y` by pure chance, if requests come independently: no series is quieter."""
_Q90, _Q99 = 1.2816, 2.3263
"""Quantiles of the normal distribution, for the floor."""
_PER_DECADE = 0.6
"""How much of `q99 - q90` a further factor of ten in rarity takes: of a normal distribution it is
0.58 from one in a hundred to one in a million."""
_JUMP = math.log(2) / 2
"""By how much a neighbour of a slot is higher, in `y`, that has twice as many requests."""
_LEVEL = timedelta(days=7)


@dataclass(frozen=True)
class Grain:
    """By which windows is judged.

    Attributes:
        name: 1h or 1d; `rule_window` of the table.
        length: of a window.
        per_day: windows in a day.
    """

    name: str
    length: timedelta
    per_day: int

    def slot(self, *, is_weekly: pl.Expr) -> pl.Expr:
        """Return the place of `at` in its week, or in its day where there is little history."""
        of_day = pl.col("at").dt.hour().cast(pl.Int32) if self.per_day > 1 else pl.lit(0, pl.Int32)
        weekday = pl.col("at").dt.weekday().cast(pl.Int32) - 1
        return pl.when(is_weekly).then(weekday * self.per_day + of_day).otherwise(of_day)


HOUR = Grain("1h", timedelta(hours=1), 24)
DAY = Grain("1d", timedelta(days=1), 1)
GRAINS = (HOUR, DAY)


class Past(NamedTuple):
    """What some series did before the judged windows.

    Attributes:
        rows: `series`, `at`, `requests`, `tokens`, `cost_usd`; without what a series did not have.
        times: the `at` in which the home knew anything at all: others say nothing of a series.
    """

    rows: pl.DataFrame
    times: pl.DataFrame


def score(
    past: Past, judged: pl.DataFrame, *, grain: Grain, start_at: datetime, rules: SpikeRules
) -> pl.DataFrame:
    """Return each judged window of each series with its usual value and the odds, per measure.

    Args:
        past: at least the slots that are judged, of the weeks before `start_at`.
        judged: rows as `past.rows`, of the windows to judge.
        grain: by which windows.
        start_at: where the judged windows begin (UTC).
        rules: how much history is asked for.

    Returns:
        A row for each of `judged` that has enough history and each measure: `series`, `at`,
        `measure`, `value`, `usual` (a float: it is an estimate), `surprise` (how improbable, as the
        negative power of ten) and `basis`.
    """
    grid = _lay_out(past, judged, grain=grain, start_at=start_at, rules=rules)
    slots = _find_usual(grid, grain)
    spread = _measure_spread(grid, start_at=start_at)
    keys = judged.select("series", "at", *(pl.col(name).cast(pl.Float64) for name in MEASURES))
    known = keys.join(spread, on="series").with_columns(
        slot=grain.slot(is_weekly=pl.col("is_weekly"))
    )
    told = known.join(slots, on=["series", "slot"], how="inner").with_columns(
        basis=pl.when("is_weekly").then(pl.lit("weekday")).otherwise(pl.lit("any_day"))
    )
    scores = pl.concat([_judge(told, name) for name in MEASURES])
    return scores.filter(pl.col("surprise").is_not_null())


def _lay_out(
    past: Past, judged: pl.DataFrame, *, grain: Grain, start_at: datetime, rules: SpikeRules
) -> pl.DataFrame:
    """Return a row for each series and window since it was first seen; of nothing, with zeros."""
    age = (pl.lit(start_at) - pl.col("first_at")).dt.total_seconds() / 86400
    least = rules.min_days if grain.per_day > 1 else rules.min_days_of_days
    units = {
        f"unit_{name}": pl.col(name).cast(pl.Float64).sum() / pl.col("requests").sum()
        for name in MEASURES
    }
    firsts = (
        past.rows.join(judged.select("series").unique(), on="series", how="semi")
        .group_by("series")
        .agg(pl.col("at").min().alias("first_at"), **units)
        .filter(age >= least)
        .with_columns(is_weekly=age >= 7 * rules.min_weeks)
    )
    grid = firsts.join(past.times, how="cross").filter(pl.col("at") >= pl.col("first_at"))
    filled = grid.join(past.rows, on=["series", "at"], how="left")
    return filled.with_columns(
        slot=grain.slot(is_weekly=pl.col("is_weekly")),
        **{f"y_{name}": _to_y(pl.col(name).fill_null(0), name) for name in MEASURES},
    ).drop(*MEASURES)


def _to_y(value: pl.Expr, measure: str) -> pl.Expr:
    n = value.cast(pl.Float64) / pl.col(f"unit_{measure}")
    y = (n.clip(0) / _KNEE).sqrt().arcsinh()
    return pl.when(pl.col(f"unit_{measure}") > 0).then(y)


def _find_usual(grid: pl.DataFrame, grain: Grain) -> pl.DataFrame:
    """Return the median of each slot, or of the one beside it if that is twice as high.

    A job that runs an hour earlier or later than it did, or clocks that changed, are then no spike.
    """
    slots = (
        grid.group_by("series", "slot", "is_weekly")
        .agg(
            *(pl.col(f"y_{name}").median().alias(f"mid_{name}") for name in MEASURES),
            references=pl.len().cast(pl.Float64),
        )
        .sort("series", "slot")
    )
    if grain.per_day > 1:
        slots = slots.with_columns(_heed_jobs(f"mid_{name}", grain) for name in MEASURES)
    return slots.drop("is_weekly")


def _heed_jobs(mid: str, grain: Grain) -> pl.Expr:
    slots = pl.when("is_weekly").then(7 * grain.per_day).otherwise(grain.per_day)
    one, slot = pl.col(mid), pl.col("slot")
    sides: list[pl.Expr] = []
    for step in (1, -1):
        there, value = _shift_round(slot, step), _shift_round(one, step)
        apart = (slot - there).abs()
        sides.append(pl.when((apart == 1) | (apart == slots - 1)).then(value))
    beside = pl.max_horizontal(sides)
    return pl.when(beside > one + _JUMP).then(beside).otherwise(one).alias(mid)


def _shift_round(column: pl.Expr, step: int) -> pl.Expr:
    """Return the neighbour within the series; of the first, the last, and the other way round."""
    end = column.last() if step > 0 else column.first()
    return pl.coalesce(column.shift(step).over("series"), end.over("series"))


def _measure_spread(grid: pl.DataFrame, *, start_at: datetime) -> pl.DataFrame:
    """Return of each series how far it was from its usual values, and its level of late."""
    off = {name: pl.col(f"y_{name}") - pl.col(f"y_{name}").median().over("series", "slot")
           for name in MEASURES}  # fmt: skip
    rest = grid.with_columns(**{f"off_{name}": one for name, one in off.items()})
    is_recent = pl.col("at") >= start_at - _LEVEL
    each = [
        part
        for name in MEASURES
        for part in (
            pl.col(f"off_{name}").quantile(0.90, "linear").alias(f"q90_{name}"),
            pl.col(f"off_{name}").quantile(0.99, "linear").alias(f"q99_{name}"),
            pl.col(f"off_{name}").filter(is_recent).median().clip(0).alias(f"level_{name}"),
        )
    ]
    first = (pl.col(name).first() for name in ("is_weekly", *(f"unit_{n}" for n in MEASURES)))
    return rest.group_by("series").agg(*each, *first)


def _judge(told: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the surprise of one measure.

    One window in a hundred was farther above the usual than `q99`, one in ten than `q90`; each
    further factor of ten is taken to need `_PER_DECADE` of their distance. Both are widened: a
    median of few windows follows what it is the median of, and misses the next one.
    """
    k = pl.col("references")
    widened = ((1 + math.pi / (2 * k)) / (1 - 1 / k.clip(2))).sqrt()
    q99 = widened * pl.max_horizontal(pl.col(f"q99_{name}"), pl.lit(_Q99 * _FLOOR))
    decade = (
        _PER_DECADE
        * widened
        * pl.max_horizontal(
            pl.col(f"q99_{name}") - pl.col(f"q90_{name}"), pl.lit((_Q99 - _Q90) * _FLOOR)
        )
    )
    usual = pl.col(f"mid_{name}") + pl.col(f"level_{name}").fill_null(0)
    surprise = 2 + (_to_y(pl.col(name), name) - usual - q99) / decade
    return told.select(
        "series",
        "at",
        "basis",
        measure=pl.lit(name),
        usual=_KNEE * usual.sinh() ** 2 * pl.col(f"unit_{name}"),
        value=pl.col(name),
        surprise=surprise,
    )
