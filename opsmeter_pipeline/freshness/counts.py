"""A batch's lags, counted: from each event's ingest time to when it was visible.

Runs once the visible time is known, on the rows of the batches it is about and nothing else.
What a lag means is judged in `slo`; rows are written by `storage.freshness`.
"""

from datetime import timedelta

import polars as pl

from opsmeter_pipeline.model.lag import to_bin
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.tables import FRESHNESS_LAGS

_PARTS = 120
"""Over how many moments what a log gained is spread at most."""
HISTORY_AFTER = timedelta(hours=24)
"""How much older than its arrival an ingest time must be for the event to be history."""
READS = ("batch_id", "file", "line_number", "environment", "data_mode", "endpoint_tag",
         "ingested_at")  # fmt: skip
"""The columns of `events` that are read."""
_PLACE = ["batch_id", "file", "line_number"]
_ARRIVAL = [name for name in READS if name != "line_number"]
_KEYS = [
    name
    for name in FRESHNESS_LAGS.schema
    if name not in ("limit_seconds", "events", "oldest_ingested_at")
]


def count_arrivals(events: pl.DataFrame) -> pl.DataFrame:
    """Return how many `events` came in together; their lags depend on nothing else.

    Args:
        events: rows of `events`, at least `READS`.
    """
    return events.group_by(_ARRIVAL).agg(pl.len().cast(pl.Int64).alias("events"))


def count_lags(
    events: pl.LazyFrame, files: pl.DataFrame, moved: pl.DataFrame, *, slo: Slo
) -> pl.DataFrame:
    """Return the rows of `freshness_lags` of some batches; each event is in one of them.

    An event whose visible time is not known yet is left out.

    Args:
        events: rows of `events`, at least `READS`; if no line was moved, rows of `count_arrivals`.
        files: per batch and file its `source`, `landed_at` and `landed_since_at`, when it
            `arrived_at` and its batch's `visible_at`, null if not known yet. A file arrived when it
            landed, but not before the home looked.
        moved: rows of `moved_lines` of these batches.
        slo: what is promised.
    """
    texts = pl.col("batch_id", "file", "environment", "data_mode", "endpoint_tag")
    is_counted = "events" in events.collect_schema()
    if not is_counted:
        events = events.select(*READS, pl.lit(1, pl.Int64).alias("events"))
    named = events.with_columns(texts.cast(pl.String)).join(files.lazy(), on=["batch_id", "file"])
    seen = _find_moved(named, moved).filter(pl.col("visible_at").is_not_null())
    if not is_counted:
        together = [name for name in seen.collect_schema() if name not in ("line_number", "events")]
        seen = seen.group_by(together).agg(pl.col("events").sum())
    is_history = pl.col("ingested_at") < pl.col("arrived_at") - HISTORY_AFTER
    kinds = seen.with_columns(
        pl.when("is_moved")
        .then(pl.lit("replayed"))
        .when(is_history)
        .then(pl.lit("history"))
        .otherwise(pl.lit("live"))
        .alias("kind")
    )
    has_logs = files["landed_since_at"].null_count() < files.height
    ingested = pl.col("ingested_at")
    lags = (_spread(kinds) if has_logs else kinds).with_columns(
        ingested.dt.truncate("1h").alias("ingested_hour_at"),
        to_bin(pl.col("visible_at") - ingested).alias("lag_up_to_seconds"),
    )
    counted = lags.group_by(_KEYS).agg(
        pl.col("events").sum(), ingested.min().alias("oldest_ingested_at")
    )
    rows = counted.collect(engine="streaming").sort(_KEYS)
    return FRESHNESS_LAGS.arrange(rows.with_columns(_limits(rows, slo)))


def _spread(events: pl.LazyFrame) -> pl.LazyFrame:
    """Return events with those that a log gained spread evenly over when they may have landed.

    All have the log's modification time, which is that of the last. Events that tell an ingest time
    of their own keep it.
    """
    since = pl.col("landed_since_at")
    is_gained = since.is_not_null() & (pl.col("ingested_at") == pl.col("landed_at"))
    span = (pl.col("ingested_at") - since).dt.total_microseconds()
    parts = pl.min_horizontal("events", pl.lit(_PARTS), span // 1_000_000 + 1).cast(pl.Int64)
    part, count = pl.col("part"), pl.col("events")
    gained = (
        events.filter(is_gained)
        .with_columns(parts=parts, span=span, part=pl.int_ranges(parts))
        .explode("part")
        .with_columns(
            (since + pl.duration(microseconds=span * (2 * part + 1) // (2 * pl.col("parts"))))
            .alias("ingested_at"),
            ((part + 1) * count // pl.col("parts") - part * count // pl.col("parts"))
            .alias("events"),
        )
        .drop("parts", "span", "part")
    )  # fmt: skip
    return pl.concat([events.filter(~is_gained), gained])


def _find_moved(events: pl.LazyFrame, moved: pl.DataFrame) -> pl.LazyFrame:
    """Return events with `is_moved`; one that a replay moved was visible when that was."""
    if moved.is_empty():
        return events.with_columns(is_moved=pl.lit(value=False))
    # Of a line that was moved more than once, the last counts; one not measured yet is the last.
    unknown = pl.col("moved_at").is_null().any()
    last = moved.group_by(_PLACE).agg(
        pl.when(~unknown).then(pl.col("moved_at").max()).alias("moved_at")
    )
    return events.join(
        last.lazy().with_columns(is_moved=pl.lit(value=True)), on=_PLACE, how="left"
    ).with_columns(
        pl.col("is_moved").fill_null(value=False),
        pl.when("is_moved").then("moved_at").otherwise("visible_at").alias("visible_at"),
    )


def _limits(rows: pl.DataFrame, slo: Slo) -> pl.Series:
    """Return the limit in force for each row; the default one where nothing is promised."""
    pairs = rows.select("environment", "endpoint_tag").unique()
    limits = {pair: _limit(slo, *pair) for pair in pairs.iter_rows()}
    told = [limits[pair] for pair in rows.select("environment", "endpoint_tag").iter_rows()]
    return pl.Series("limit_seconds", told, dtype=pl.Int64)


def _limit(slo: Slo, environment: str, endpoint: str) -> int:
    scope = slo.find_scope(environment, endpoint)
    return scope.objective.limit_seconds if scope else slo.limit_seconds
