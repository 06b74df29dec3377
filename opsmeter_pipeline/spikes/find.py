"""Which hours and days are spikes: rare enough for all that was looked at, and large enough.

A spike has to be so improbable by its own past that, over all series and measures of the look,
chance shows `false_alarms` of them; and it has to matter: events, dollars, times the usual. Scores
stand in `spikes.score`; spikes of which one explains the other are folded in `spikes.fold`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl

from opsmeter_pipeline.spikes.limits import SpikeRules
from opsmeter_pipeline.spikes.score import DAY, GRAINS, HOUR, MEASURES, Grain, Past, score
from opsmeter_pipeline.spikes.search import PLACE, SUMS, Search, stack_series
from opsmeter_pipeline.spikes.spike import FAILING, SPIKE, Spike

HISTORY = ("attempts", "requests", "failures", "tokens", "cost_usd")
"""What is summed up of the past."""


class Known(NamedTuple):
    """What is known of some series before the judged windows.

    Attributes:
        rows: `PLACE`, `at` and the sums of `HISTORY`.
        times: the `at` in which anything at all was known.
    """

    rows: pl.DataFrame
    times: pl.DataFrame


@dataclass(frozen=True)
class Traffic:
    """What the warehouse says, of production only.

    Attributes:
        cells: the judged windows, by all dimensions but user; see `stack_series`.
        series: the judged series, by `choose_series`.
        hours: of the same hours of the same weekdays before; and of young series, of all days.
        days: of the days before.
    """

    cells: pl.DataFrame
    series: pl.DataFrame
    hours: tuple[Known, ...]
    days: Known


def find_spikes(traffic: Traffic, search: Search, rules: SpikeRules) -> list[Spike]:
    """Return the spikes by the hour and by the day, in order of time and then of `PLACE`."""
    stacked = stack_series(traffic.cells)
    looked_at = stacked.select(PLACE).unique().height
    hours = _number(stacked, traffic.series)
    pasts = {
        grain: [Known(_number(one.rows, traffic.series), one.times) for one in known]
        for grain, known in ((HOUR, traffic.hours), (DAY, (traffic.days,)))
    }
    found = [
        spike
        for grain in GRAINS
        for spike in _find(hours, pasts[grain], traffic.series, grain=grain, search=search,
                           rules=rules, looked_at=looked_at)
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.window_start_at, one.rule_window, one.series))


def _number(rows: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    return rows.join(series, on=PLACE).drop(PLACE)


def _find(
    hours: pl.DataFrame,
    pasts: Sequence[Known],
    series: pl.DataFrame,
    *,
    grain: Grain,
    search: Search,
    rules: SpikeRules,
    looked_at: int,
) -> Iterator[Spike]:
    start, end = search.span(grain)
    judged = hours.filter((pl.col("at") >= start) & (pl.col("at") < end))
    on_time = _by_grain(judged.filter(~pl.col("is_late")), grain, SUMS)
    many = on_time.filter(pl.col("attempts") >= rules.min_events)
    if many.is_empty():
        return
    scores = pl.concat(
        score(Past(*past), many, grain=grain, start_at=start, rules=rules) for past in pasts
    )
    needed = math.log10(max(looked_at, 1) * len(MEASURES) / rules.false_alarms)
    rare = scores.filter(
        (pl.col("surprise") >= needed) & (pl.col("value") >= rules.min_ratio * pl.col("usual"))
    )
    if rare.is_empty():
        return
    before = pl.concat(past.rows for past in pasts)
    told = _describe(rare, scores, many, judged, before, series, grain)
    for row in told.sort("series", "at", "surprise", "measure", descending=[False, False, True,
                         False]).partition_by("series", "at", maintain_order=True):  # fmt: skip
        spike = next(filter(None, (_admit(one, grain, rules, needed, looked_at)
                                   for one in row.to_dicts())), None)  # fmt: skip
        if spike:
            yield spike


def _by_grain(rows: pl.DataFrame, grain: Grain, sums: tuple[str, ...]) -> pl.DataFrame:
    if grain is not HOUR:
        rows = rows.with_columns(pl.col("at").dt.truncate("1d"))
    return rows.group_by("series", "at").agg(pl.col(sums).sum())


def _describe(
    rare: pl.DataFrame,
    scores: pl.DataFrame,
    on_time: pl.DataFrame,
    judged: pl.DataFrame,
    before: pl.DataFrame,
    series: pl.DataFrame,
    grain: Grain,
) -> pl.DataFrame:
    """Return the rare windows with all that is told of them."""
    usual = scores.pivot("measure", index=["series", "at"], values="usual").rename(
        {name: f"usual_{name}" for name in MEASURES}, strict=False
    )
    for name in MEASURES:
        if f"usual_{name}" not in usual.columns:
            usual = usual.with_columns(pl.lit(None, pl.Float64).alias(f"usual_{name}"))
    late = _by_grain(judged.filter("is_late"), grain, ("requests", "cost_usd")).rename(
        {"requests": "late_requests", "cost_usd": "late_cost_usd"}
    )
    failed = before.group_by("series").agg(
        usual_failure_share=pl.col("failures").sum() / pl.col("attempts").sum()
    )
    return (
        rare.drop("usual", "value")
        .join(on_time, on=["series", "at"])
        .join(usual, on=["series", "at"], how="left")
        .join(late, on=["series", "at"], how="left")
        .join(failed, on="series", how="left")
        .join(series, on="series")
    )


def _admit(
    row: Mapping[str, Any], grain: Grain, rules: SpikeRules, needed: float, looked_at: int
) -> Spike | None:
    """Return the spike of one measure, or None if it is too small to matter."""
    spike = _to_spike(row, grain, needed, looked_at, rules)
    if spike.measure == "requests" and spike.more_in("requests") < rules.min_events:
        return None
    known = spike.unpriced_high_usd is not None
    most = spike.extra_usd + (spike.unpriced_high_usd or Decimal())
    matters = not known or most >= rules.min_usd or spike.kind == FAILING
    return spike if matters else None


def _to_spike(
    row: Mapping[str, Any], grain: Grain, needed: float, looked_at: int, rules: SpikeRules
) -> Spike:
    failure_share = row["failures"] / row["attempts"]
    usual_failures = row["usual_failure_share"] or 0.0
    is_failing = (
        row["measure"] == "requests" and failure_share >= usual_failures + rules.failing_points
    )
    cost = row["usual_cost_usd"]
    return Spike(
        kind=FAILING if is_failing else SPIKE,
        rule_window=grain.name,
        window_start_at=row["at"],
        window_end_at=row["at"] + grain.length,
        **{name: row[name] for name in (*PLACE, "measure", "basis")},
        **{name: int(row[name]) for name in ("attempts", "requests", "tokens")},
        **{f"usual_{name}": row[f"usual_{name}"] for name in ("requests", "tokens")},
        cost_usd=row["cost_usd"],
        usual_cost_usd=None if cost is None else Decimal(f"{cost:.6f}"),
        unpriced_attempts=int(row["unpriced_attempts"]),
        unpriced_low_usd=row["unpriced_low_usd"],
        unpriced_high_usd=None if row["unbounded_attempts"] else row["unpriced_high_usd"],
        late_requests=int(row["late_requests"] or 0),
        late_cost_usd=row["late_cost_usd"] or Decimal(),
        surprise=row["surprise"],
        surprise_needed=needed,
        failure_share=failure_share,
        usual_failure_share=usual_failures,
        share=None,
        usual_share=None,
        series_looked_at=looked_at,
    )
