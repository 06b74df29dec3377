"""Whether every way to cut a run's totals gives those of its events, to the last decimal.

The events are summed here by another route than the cubes are: straight, or by one dimension at a
time. Nothing is published while two sums differ. Sums themselves are made in `cube.sums`.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import reduce
from typing import Final, NamedTuple

import polars as pl

from opsmeter_pipeline.cube.measures import TOLD
from opsmeter_pipeline.cube.sums import DIMENSIONS, READS, to_hour_and_day
from opsmeter_pipeline.model.sql import NO_FAILURE
from opsmeter_pipeline.model.tables import (
    ATTRIBUTION_HOURLY,
    LATENCY_HOURLY,
    TOKEN_MOMENTS_HOURLY,
    UNPRICED_HOURLY,
    USERS_DAILY,
    USERS_LATENCY_DAILY,
    dimensions_of,
)
from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict

CONSERVED = (
    *("requests", "attempts", "failures", "input_tokens", "output_tokens"),
    *("unpriced_attempts", "unbounded_attempts", "unpriced_low_usd", "unpriced_high_usd"),
    *("cost_usd", "failed_cost_usd"),
)
"""The measures that must not depend on how they are cut."""
_SUMS = pl.col(CONSERVED).sum()
_IS_FINISHED = pl.col("outcome").is_in(NO_FAILURE)
_IS_UNPRICED = pl.col("cost_usd").is_null()
_IS_UNBOUNDED = _IS_UNPRICED & pl.col("unpriced_high_usd").is_null()
"""Whether nobody can tell what an event may cost."""


def _count(condition: pl.Expr) -> pl.Expr:
    return condition.sum().cast(pl.Int64)


_TOTALS: Final = {  # of attempts and users, and some of them of what is unpriced
    "requests": _count(pl.col("is_first_attempt")),
    "attempts": pl.len().cast(pl.Int64),
    "inferred_attempts": _count(pl.col("attempt_inferred")),
    "failures": _count(~_IS_FINISHED),
    **{name: pl.col(name).sum() for name in ("input_tokens", "output_tokens", *TOLD)},
    "timed_attempts": pl.col("latency_ms").count().cast(pl.Int64),
    "unpriced_attempts": _count(_IS_UNPRICED),
    "unbounded_attempts": _count(_IS_UNBOUNDED),
    **{name: pl.col(name).sum() for name in ("unpriced_low_usd", "unpriced_high_usd", "cost_usd")},
    "inferred_cost_usd": pl.col("cost_usd").filter("attempt_inferred").sum(),
    "failed_cost_usd": pl.col("cost_usd").filter(~_IS_FINISHED).sum(),
}
_OF_FINISHED: Final = {  # what moments of tokens are of; the moments themselves are floats
    "finished_attempts": _count(_IS_FINISHED),
    "finished_input_tokens": pl.col("input_tokens").filter(_IS_FINISHED).sum(),
    "finished_output_tokens": pl.col("output_tokens").filter(_IS_FINISHED).sum(),
    "costed_attempts": _count(_IS_FINISHED & (pl.col("cost_usd") > 0)),
}
_MANY = ("tenant_id", "user_id")
"""The dimensions of many values."""
PROVEN = [name for name in READS if name != "unpriced_reason"]
"""The columns of `events` that `sum_straight` and `cut_events` need."""


Totals = Mapping[str, Mapping[str, int | Decimal]]
"""What each cube table should sum up to, by its name and measure."""


class Cut(NamedTuple):
    """What events sum up to, cut by one dimension at a time.

    Attributes:
        by: by each dimension the sums of `CONSERVED` for each `value`.
        shown: those of production, one row.
    """

    by: Mapping[str, pl.DataFrame]
    shown: pl.DataFrame


def sum_straight(events: pl.DataFrame) -> Totals:
    """Return what the cubes of these events should sum up to, redeliveries left out.

    Args:
        events: rows of `events`, at least the columns `PROVEN`.
    """
    unpriced = {name: sum_ for name, sum_ in _TOTALS.items() if name in UNPRICED_HOURLY.schema}
    of_all = _sum(events.lazy(), _TOTALS | _OF_FINISHED)
    totals = {name: of_all[name] for name in _TOTALS}
    timed = {"attempts": totals["timed_attempts"]}
    return {
        UNPRICED_HOURLY.name: _sum(events.lazy().filter(_IS_UNPRICED), unpriced),
        ATTRIBUTION_HOURLY.name: totals,
        USERS_DAILY.name: totals,
        LATENCY_HOURLY.name: timed,
        USERS_LATENCY_DAILY.name: timed,
        TOKEN_MOMENTS_HOURLY.name: {name: of_all[name] for name in _OF_FINISHED},
    }


def cut_events(events: pl.DataFrame) -> Cut:
    """Return the sums of some events by each dimension of the cubes.

    Args:
        events: rows of `events`, at least the columns `PROVEN`.
    """
    told = to_hour_and_day(events.lazy())
    few = [name for name in DIMENSIONS if name not in _MANY]
    together = _sum_measures(told, few).collect()
    sums = [
        _sum_measures(told, [name]) if name in _MANY else together.lazy() for name in DIMENSIONS
    ]
    by = pl.collect_all(
        one.group_by(name).agg(_SUMS) for name, one in zip(DIMENSIONS, sums, strict=True)
    )
    is_shown = (pl.col("data_mode") == "real") & (pl.col("environment") == "prod")
    return Cut(
        dict(zip(DIMENSIONS, map(_name_value, by), strict=True)),
        together.filter(is_shown).select(_SUMS),
    )


def judge_sums(
    parts: Iterable[Totals], cubes: Mapping[str, pl.DataFrame], *, redelivered: int
) -> Verdict:
    """Return whether each cube sums up to its events, to the last token and decimal.

    Args:
        parts: what `sum_straight` returned for each part of the events.
        cubes: rows of each cube table, by table name.
        redelivered: how many redelivered lines the cubes should count.
    """
    expected = reduce(_add_totals, parts)
    counted = {"redeliveries": redelivered}
    for table in (ATTRIBUTION_HOURLY.name, USERS_DAILY.name):
        expected = {**expected, table: {**expected[table], **counted}}
    differing = [
        {"table": table, "measure": measure, "events": total, "cube": cubes[table][measure].sum()}
        for table, measures in expected.items()
        for measure, total in measures.items()
        if cubes[table][measure].sum() != total
    ]
    totals = expected[ATTRIBUTION_HOURLY.name]
    return Verdict(
        passed=not differing,
        summary=(
            "Cubes and events agree in every measure, to the last digit."
            if not differing
            else f"{len(differing)} sums differ. Nothing is published; report this as a bug."
        ),
        figures={name: str(total) for name, total in totals.items()},
        culprits=differing,
    )


def judge_dimensions(cuts: Sequence[Cut], cubes: Mapping[str, pl.DataFrame]) -> Verdict:
    """Return whether the cubes sum up to their events by each of their dimensions.

    Args:
        cuts: what `cut_events` returned for each part of the events.
        cubes: rows of each cube table, by table name.
    """
    of_events = {name: _add_cuts(cuts, name) for name in cuts[0].by}
    differing: list[dict[str, object]] = []
    for table in (ATTRIBUTION_HOURLY, USERS_DAILY):
        dimensions = dimensions_of(table)
        cube = cubes[table.name].lazy()
        sums = pl.collect_all(cube.group_by(name).agg(_SUMS) for name in dimensions)
        differing += [
            {"place": table.name, "dimension": name, **row}
            for name, of_cube in zip(dimensions, sums, strict=True)
            for row in _compare(of_events[name], _name_value(of_cube))
        ]
    return _conserved(differing, "Every dimension of the cubes sums up to the events.")


def judge_views(cuts: Sequence[Cut], totals: Mapping[str, Mapping[str, object]]) -> Verdict:
    """Return whether each view over a run's cubes sums up to the run's production events.

    Args:
        cuts: what `cut_events` returned for each part of the events.
        totals: the sums of `CONSERVED` over each view's rows, by the view's name. Of unbounded
            attempts nobody knows the most: a view that has some shows none, and its sum is null.
    """
    sums = pl.concat(cut.shown for cut in cuts).sum()
    expected: dict[str, int | Decimal | None] = sums.row(0, named=True)
    if expected["unbounded_attempts"]:
        expected["unpriced_high_usd"] = None
    differing: list[Mapping[str, object]] = [
        {"place": view, "measure": name, "events": expected[name], "there": found[name]}
        for view, found in totals.items()
        for name in CONSERVED
        if found[name] != expected[name]
    ]
    return _conserved(differing, "Every view sums up to the production events.")


def _add_totals(one: Totals, other: Totals) -> Totals:
    return {
        table: {name: total + other[table][name] for name, total in totals.items()}
        for table, totals in one.items()
    }


def _add_cuts(cuts: Sequence[Cut], dimension: str) -> pl.DataFrame:
    if len(cuts) == 1:
        return cuts[0].by[dimension]
    return pl.concat(cut.by[dimension] for cut in cuts).group_by("value").agg(pl.all().sum())


def _sum_measures(events: pl.LazyFrame, keys: Sequence[str]) -> pl.LazyFrame:
    """Return the sums by these keys, up to three rows for each: most measures are of few events."""
    parts = (
        events.group_by(keys).agg(
            _count(pl.col("is_first_attempt")).alias("requests"),
            pl.len().cast(pl.Int64).alias("attempts"),
            pl.col("input_tokens", "output_tokens", "cost_usd").sum(),
        ),
        events.filter(~_IS_FINISHED).group_by(keys).agg(
            pl.len().cast(pl.Int64).alias("failures"),
            pl.col("cost_usd").sum().alias("failed_cost_usd"),
        ),
        events.filter(_IS_UNPRICED).group_by(keys).agg(
            pl.len().cast(pl.Int64).alias("unpriced_attempts"),
            _count(_IS_UNBOUNDED).alias("unbounded_attempts"),
            pl.col("unpriced_low_usd", "unpriced_high_usd").sum(),
        ),
    )  # fmt: skip
    return pl.concat(parts, how="diagonal")


def _sum(events: pl.LazyFrame, sums: Mapping[str, pl.Expr]) -> dict[str, int | Decimal]:
    summed = events.select(**sums).collect().row(0, named=True)
    return {name: value or 0 for name, value in summed.items()}


def _name_value(sums: pl.DataFrame) -> pl.DataFrame:
    """Return sums with their dimension as text; a cube also has rows for redeliveries alone."""
    value = pl.nth(0).cast(pl.String).alias("value")
    return sums.filter(pl.col("attempts") > 0).select(value, *CONSERVED)


def _compare(of_events: pl.DataFrame, of_cube: pl.DataFrame) -> list[dict[str, object]]:
    """Return the values whose sums differ, or that one side does not have."""
    both = of_events.join(of_cube, on="value", how="full", coalesce=True, nulls_equal=True,
                          suffix="_of_cube")  # fmt: skip
    is_equal = pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(f"{name}_of_cube")) for name in CONSERVED
    )
    return both.filter(~is_equal).sort("value").to_dicts()


def _conserved(differing: Sequence[Mapping[str, object]], good: str) -> Verdict:
    places = ", ".join(sorted({str(row["place"]) for row in differing}))
    return Verdict(
        passed=not differing,
        summary=good
        if not differing
        else f"{len(differing)} sums of {places} are not those of the events. Nothing is "
        "published; report this as a bug.",
        figures={"differing_sums": len(differing)},
        culprits=differing[:SAMPLE_ROWS],
    )
