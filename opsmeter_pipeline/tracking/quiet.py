"""Which producers fell silent, each by its own habit of landing files.

The limit follows from a producer's own gaps, so that one that sends every minute is missed within
a quarter of an hour and one that sends daily within days. No clock is read: `now` is passed in.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict


@dataclass(frozen=True)
class QuietLimits:
    """When a silence is longer than a producer's habit.

    Attributes:
        chance: how often, at most, a silence of a producer that lands at random is called one.
        shortest: a silence shorter than this is never one.
        window: landings older than this, counted from `now`, are forgotten, and with the last of
            them the producer: it has been retired.
        min_landings: different moments of landing below which a producer has no habit yet.
        min_history: time between the first and the last of them below which it has none.
    """

    chance: float = 1e-4
    shortest: timedelta = timedelta(minutes=15)
    window: timedelta = timedelta(days=14)
    min_landings: int = 10
    min_history: timedelta = timedelta(hours=20)


QUIET_LIMITS = QuietLimits()
_QUERY = (
    "opsmeter query \"SELECT file, landed_at, lines FROM ingest_files WHERE file GLOB '<source>' "
    'ORDER BY landed_at DESC LIMIT 20"'
)


def judge_quiet(
    landings: pl.DataFrame, *, now: datetime, limits: QuietLimits = QUIET_LIMITS
) -> Verdict:
    """Return whether every producer with a habit has landed something within it.

    A producer's limit is its longest gap times ln(1/chance) / ln(gaps): the more gaps have been
    seen, the closer the longest of them is to the truth. A night or a weekend without files is a
    gap like any other, once it has been seen.

    Args:
        landings: `source` and `landed_at` of what landed.
        now: the last moment up to which everything that landed is known (UTC). A backlog must not
            make its producers look silent.
        limits: when a silence is longer than a habit.
    """
    habits = find_habits(landings, now=now, limits=limits)
    known = habits.filter(pl.col("limit").is_not_null())
    silent = known.filter(pl.col("silence") > pl.col("limit"))
    quiet = silent.sort("silence", "source", descending=[True, False])
    named = ", ".join(quiet["source"].head(3))
    return Verdict(
        passed=quiet.is_empty(),
        summary=(
            f"{known.height} producers with a habit have landed files within it."
            if quiet.is_empty()
            else f"Silent for longer than they ever are: {named}. See whether the producer still "
            "runs and may write to the landing; its cost is missing from every number since."
        ),
        figures={
            "producers": habits.height,
            "without_habit": habits.height - known.height,
            "quiet": quiet.height,
            "as_of": now.isoformat(),
            "query": _QUERY,
        },
        culprits=quiet.head(SAMPLE_ROWS)
        .select(
            "source",
            "last_landed_at",
            pl.col("silence").dt.total_minutes().alias("silence_minutes"),
            pl.col("limit").dt.total_minutes().alias("limit_minutes"),
        )
        .to_dicts(),
    )


def find_habits(
    landings: pl.DataFrame, *, now: datetime, limits: QuietLimits = QUIET_LIMITS
) -> pl.DataFrame:
    """Return each source with its `silence` until now and the `limit`, null without a habit."""
    seen = landings.filter(pl.col("landed_at") > now - limits.window).unique()
    gap = pl.col("landed_at").sort().diff().drop_nulls()
    stretched = (math.log(1 / limits.chance) / pl.col("gaps").log()).clip(1)
    has_habit = (pl.col("gaps") + 1 >= limits.min_landings) & (
        pl.col("history") >= limits.min_history
    )
    return (
        seen.group_by("source")
        .agg(
            pl.col("landed_at").max().alias("last_landed_at"),
            (pl.col("landed_at").max() - pl.col("landed_at").min()).alias("history"),
            gap.max().alias("longest"),
            gap.len().alias("gaps"),
        )
        .with_columns(
            pl.lit(now).alias("now"),
            pl.when(has_habit)
            .then(
                pl.max_horizontal(
                    (pl.col("longest").dt.total_microseconds() * stretched)
                    .cast(pl.Int64)
                    .cast(pl.Duration("us")),
                    pl.lit(limits.shortest, pl.Duration("us")),
                )
            )
            .alias("limit"),
        )
        .select("source", "last_landed_at", "limit", silence=pl.col("now") - "last_landed_at")
        .sort("source")
    )
