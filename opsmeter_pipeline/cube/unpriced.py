"""Sums of events without a price, by model, tenant and reason: there are few, or all."""

from collections.abc import Iterator

import polars as pl

from opsmeter_pipeline.model.tables import EVENTS, UNPRICED_HOURLY, dimensions_of

_DIMENSIONS = dimensions_of(UNPRICED_HOURLY)
_IS_UNBOUNDED = pl.col("unpriced_high_usd").is_null()
_MEASURES = {
    "requests": pl.col("is_first_attempt").sum().cast(pl.Int64),
    "attempts": pl.len().cast(pl.Int64),
    **{
        name: pl.col(name).sum()
        for name in ("input_tokens", "output_tokens", "unpriced_low_usd", "unpriced_high_usd")
    },
    "unbounded_attempts": _IS_UNBOUNDED.sum().cast(pl.Int64),
}
UNPRICED_READ = (
    *(name for name in (*_DIMENSIONS, *_MEASURES) if name in EVENTS.schema),
    *("occurred_at", "is_first_attempt", "cost_usd"),
)
"""The columns of `events` that these sums need."""


class UnpricedSums:
    """Sums for `unpriced_hourly`, part by part."""

    def __init__(self) -> None:
        """Begin without an event."""
        self._parts: list[pl.DataFrame] = []

    def add(self, events: pl.DataFrame) -> None:
        """Add events."""
        unpriced = events.select(UNPRICED_READ).filter(pl.col("cost_usd").is_null())
        hour = pl.col("occurred_at").dt.truncate("1h").alias("hour_at")
        sums = (measure.alias(name) for name, measure in _MEASURES.items())
        self._parts.append(unpriced.with_columns(hour).group_by(_DIMENSIONS).agg(sums))

    def tables(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield the table's name and rows."""
        rows = pl.concat(self._parts) if self._parts else UNPRICED_HOURLY.empty()
        sums = rows.group_by(_DIMENSIONS).agg(pl.col(*_MEASURES).sum())
        yield UNPRICED_HOURLY.name, UNPRICED_HOURLY.arrange(sums)
