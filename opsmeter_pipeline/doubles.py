"""The doubles stage: calls that two layers reported under two ids, told from chance.

Nothing here removes or changes an event: a double is shown with its cost, and a person decides
which layer falls silent (ADR 0014). Counting pairs is `storage.doubles`'s; here it is judged
whether chance explains them. Comes after `publish`, in a job of its own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from opsmeter_pipeline.model.tables import DOUBLE_INSTRUMENTATION
from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict

CHECK = "double_instrumentation"
_FIRST = ("first_source", "first_endpoint_tag")
_SECOND = ("second_source", "second_endpoint_tag")


@dataclass(frozen=True)
class DoubleLimits:
    """When two reporters' equal calls are one call reported twice.

    Attributes:
        min_pairs: pairs in a UTC day below which nothing is said.
        min_signatures: different models and token counts among them; fewer are a job that asks
            the same at the same time everywhere, such as a health check.
        min_share: part of the smaller reporter's events, 0 to 1, that is paired beyond chance. The
            field's doubles had 50 to 64 % of all rows paired, so all of the smaller one's.
        chance: the probability, at most, that coincidence brings as many pairs.
    """

    min_pairs: int = 20
    min_signatures: int = 10
    min_share: float = 0.5
    chance: float = 1e-6


DOUBLE_LIMITS = DoubleLimits()


def find_doubles(
    pairs: pl.DataFrame, *, looked_at: datetime, limits: DoubleLimits = DOUBLE_LIMITS
) -> pl.DataFrame:
    """Return rows of `double_instrumentation`: the reporters whose pairs chance does not explain.

    Args:
        pairs: one row per UTC day and two reporters with pairs, as `count_pairs` gives them.
        looked_at: when this is done (UTC).
        limits: when pairs are more than coincidence.
    """
    smaller = pl.min_horizontal("first_events", "second_events")
    beyond = pl.col("pairs").cast(pl.Int64) - pl.col("chance_pairs")
    strong = pairs.filter(
        pl.col("pairs") >= limits.min_pairs,
        pl.col("signatures") >= limits.min_signatures,
        beyond >= limits.min_share * smaller,
    )
    is_found = [
        _bound_chance(row["pairs"], row["chance_pairs"]) <= limits.chance
        for row in strong.iter_rows(named=True)
    ]
    found = strong.filter(pl.Series(is_found, dtype=pl.Boolean)).with_columns(
        first_share=pl.col("pairs") / pl.col("first_events"),
        second_share=pl.col("pairs") / pl.col("second_events"),
        looked_at=pl.lit(looked_at),
    )
    return DOUBLE_INSTRUMENTATION.arrange(found).sort("day", "pairs", *_FIRST, *_SECOND)


def judge_doubles(rows: pl.DataFrame) -> Verdict:
    """Return whether no call is reported twice.

    Args:
        rows: rows of `double_instrumentation` of the days that are judged.
    """
    ranked = rows.sort("cost_usd", *_FIRST, *_SECOND, descending=[True] + [False] * 4)
    said = "; ".join(map(_describe, ranked.head(3).iter_rows(named=True)))
    return Verdict(
        passed=rows.is_empty(),
        summary="No two reporters tell the same calls."
        if rows.is_empty()
        else f"The same calls are reported twice under two ids: {said}. Nothing was removed: "
        "their cost is in every total twice. Let one of the two layers fall silent, or send the "
        "same externalRequestId from both.",
        figures={
            "double_reporters": rows.height,
            "pairs": int(rows["pairs"].sum()),
            "query": 'opsmeter query "FROM double_instrumentation ORDER BY day DESC, pairs DESC"',
        },
        culprits=ranked.head(SAMPLE_ROWS).drop("looked_at").to_dicts(),
    )


def _describe(row: Mapping[str, object]) -> str:
    return (
        f"{row['first_source']} ({row['first_endpoint_tag']}) and {row['second_source']} "
        f"({row['second_endpoint_tag']}), {row['pairs']} pairs on {row['day']}, "
        f"{row['cost_usd']:f} USD in doubt"
    )


def _bound_chance(pairs: int, expected: int) -> float:
    """Return a bound on the probability that coincidence brings as many pairs (Chernoff, Poisson).

    Expected is taken to be at least one: a chance that was never seen is not impossible.

    >>> _bound_chance(10, 10)
    1.0
    >>> _bound_chance(20, 0) < 1e-9
    True
    """
    mean = max(expected, 1)
    if pairs <= mean:
        return 1.0
    return math.exp(pairs - mean - pairs * math.log(pairs / mean))
