"""How far apart the clocks of a batch's lines were: event, ingest, landing and taking.

Counted once per part of priced events, so that lateness has its cost and no later question has to
read events. A lag is in whole minutes, rounded down; from a day on in whole hours, from 30 days on
in whole days, so that an archive of a year makes some hundred rows. What a lag means is judged in
`clocks`. Comes after `price`; `publish` writes the rows.
"""

from collections.abc import Sequence

import polars as pl

from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.landed import Slice
from opsmeter_pipeline.model.tables import CLOCKS_HOURLY
from opsmeter_pipeline.tracking.counts import place_slices

FUTURE = "future_timestamp"
"""The rule of lines whose event or ingest time is too far ahead; its detail says how far."""
_DAY, _MONTH = 24 * 60, 30 * 24 * 60
_LONGEST = 1_000_000_000
_MEASURES = ("attempts", "requests", "refused_lines", "cost_usd")
CLOCK_KEYS = tuple(name for name in CLOCKS_HOURLY.schema if name not in _MEASURES)
"""What a row of `clocks_hourly` is about."""
_LAGS = ("sender_lag_minutes", "collector_lag_minutes")


def to_lag_minutes(lag: pl.Expr) -> pl.Expr:
    """Return a duration as the whole minutes that a lag is counted by.

    >>> from datetime import timedelta
    >>> lags = [timedelta(seconds=-1), timedelta(seconds=59), timedelta(hours=25, minutes=59)]
    >>> pl.DataFrame({"lag": lags}).select(to_lag_minutes(pl.col("lag")))["lag"].to_list()
    [-1, 0, 1500]
    """
    minutes = lag.dt.total_microseconds() // 60_000_000
    stepped = (
        pl.when(minutes.abs() < _DAY)
        .then(minutes)
        .when(minutes.abs() < _MONTH)
        .then(minutes // 60 * 60)
        .otherwise(minutes // _DAY * _DAY)
    )
    return stepped.clip(-_LONGEST, _LONGEST).cast(pl.Int32)


def count_lags(priced: pl.DataFrame, slices: Sequence[Slice]) -> pl.DataFrame:
    """Return attempts, requests and cost of priced events per `slice_index` and lag.

    An event time is told where it is not the ingest time, an ingest time where it is not the
    landing.

    Args:
        priced: events with their cost.
        slices: the plan.
    """
    landed = pl.lit(pl.Series([one.landed_at for one in slices], dtype=INSTANT))
    event, ingest, index = pl.col("occurred_at"), pl.col("ingested_at"), pl.col("slice_index")
    landing = landed.gather(index)
    return priced.group_by(
        index.cast(pl.UInt32),
        pl.when(event != ingest).then(to_lag_minutes(ingest - event)).alias(_LAGS[0]),
        pl.when(ingest != landing).then(to_lag_minutes(landing - ingest)).alias(_LAGS[1]),
    ).agg(
        pl.len().cast(pl.Int64).alias("attempts"),
        pl.col("is_first_attempt").sum().cast(pl.Int64).alias("requests"),
        pl.col("cost_usd").sum(),
    )


def count_leads(quarantine: pl.DataFrame, slices: Sequence[Slice]) -> pl.DataFrame:
    """Return `refused_lines` per `slice_index` and lag of lines that are too far ahead.

    Args:
        quarantine: rows of `quarantine`.
        slices: the plan.
    """
    ahead = (
        quarantine.filter(pl.col("rule") == FUTURE)
        .with_columns(pl.col("batch_id", "file").cast(pl.String))
        .join(_place(slices).unique(["batch_id", "file"], keep="first"), on=["batch_id", "file"])
        .with_columns(_lead("timestamp"), _lead("ingestedAt"))
    )
    waited, event, ingest = pl.col("waited"), pl.col("timestamp"), pl.col("ingestedAt")
    return ahead.group_by(
        "slice_index",
        to_lag_minutes(pl.coalesce(ingest, -waited) - event).alias(_LAGS[0]),
        to_lag_minutes(-waited - ingest).alias(_LAGS[1]),
    ).agg(pl.len().cast(pl.Int64).alias("refused_lines"))


def build_clocks(lags: pl.DataFrame, leads: pl.DataFrame, slices: Sequence[Slice]) -> pl.DataFrame:
    """Return the rows of `clocks_hourly`: each event stands in one of them, and each line ahead.

    Args:
        lags: what `count_lags` made of all parts.
        leads: what `count_leads` made of the quarantine.
        slices: the plan.
    """
    measures = {name: CLOCKS_HOURLY.schema[name] for name in _MEASURES}
    every = pl.concat([pl.DataFrame(schema=measures), lags, leads], how="diagonal")
    rows = every.join(_place(slices), on="slice_index").group_by(CLOCK_KEYS)
    return CLOCKS_HOURLY.arrange(rows.agg(pl.col(_MEASURES).sum()).sort(CLOCK_KEYS))


def _place(slices: Sequence[Slice]) -> pl.DataFrame:
    """Return `place_slices` with the landing's lag, and how long each slice had `waited`."""
    since_modified = [one.taken_at - one.modified_at for one in slices]
    since_landed = [one.taken_at - one.landed_at for one in slices]
    return place_slices(slices).with_columns(
        pl.Series("since_modified", since_modified, dtype=pl.Duration("us"))
        .to_frame()
        .select(to_lag_minutes(pl.first()).alias("landing_lag_minutes"))
        .to_series(),
        pl.Series("waited", since_landed, dtype=pl.Duration("us")),
    )


def _lead(field: str) -> pl.Expr:
    """Return how far a field was ahead of the taking, as the rule's detail tells; null if not."""
    seconds = pl.col("detail").str.extract(rf"\b{field} (\d+) seconds ahead").cast(pl.Int64)
    return pl.duration(seconds=seconds).alias(field)
