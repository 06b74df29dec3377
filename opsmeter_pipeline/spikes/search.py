"""What is looked at: which hours and days are judged, and which series they are made of.

A series is one value of a dimension: the workspace, an endpoint, a model, a tenant. Reading them is
`storage.spikes`', how surprising one of their hours is stands in `spikes.score`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import polars as pl

from opsmeter_pipeline.model.errors import WindowError
from opsmeter_pipeline.model.lengths import parse_length
from opsmeter_pipeline.spikes.limits import SpikeRules
from opsmeter_pipeline.spikes.score import DAY, HOUR, Grain

DEFAULT_WINDOW = "24h"
LONGEST = timedelta(days=7)
"""Longer than that, an hour's own past would be among what is judged."""
WORKSPACE = "workspace"
ALL = "(all)"
"""Value of the workspace, which is all production traffic of a home."""
DIMENSIONS: Mapping[str, tuple[pl.Expr, pl.Expr]] = MappingProxyType(
    {
        WORKSPACE: (pl.lit(""), pl.lit(ALL)),
        "endpoint_tag": (pl.lit(""), pl.col("endpoint_tag")),
        "model": (pl.col("provider"), pl.col("model")),
        "tenant_id": (pl.lit(""), pl.col("tenant_id")),
    }
)
"""Of each dimension, what a value stands within, and the value; by cells of the cube."""
PLACE = ("dimension", "within", "value")
SUMS = (
    *("attempts", "requests", "failures", "tokens", "cost_usd"),
    *("unpriced_attempts", "unbounded_attempts", "unpriced_low_usd", "unpriced_high_usd"),
)
"""What is summed up of each series and hour."""
MOST_SERIES = 1000
"""How many series are judged, those with most attempts; bounds memory, and the rest are counted."""


@dataclass(frozen=True)
class Search:
    """Which windows are judged; ends are exclusive, all UTC.

    Attributes:
        start_at: start of the first judged hour.
        end_at: first instant after the last judged hour: the watermark's full hour.
    """

    start_at: datetime
    end_at: datetime

    @property
    def last_midnight(self) -> datetime:
        """The end of the last judged day."""
        return self.end_at.replace(hour=0)

    @property
    def first_day_at(self) -> datetime:
        """Start of the first judged day: days are judged that end within the judged hours."""
        return self.start_at.replace(hour=0)

    def span(self, grain: Grain) -> tuple[datetime, datetime]:
        """Return where the judged windows of a grain begin and end; equal if there is none."""
        if grain is HOUR:
            return self.start_at, self.end_at
        return self.first_day_at, max(self.first_day_at, self.last_midnight)

    def shift_hours(self, *, by: timedelta, times: int) -> list[tuple[datetime, datetime]]:
        """Return the judged hours, and one more on either side, so often shifted back."""
        hour = HOUR.length
        return [(self.start_at - n * by - hour, self.end_at - n * by + hour)
                for n in range(1, times + 1)]  # fmt: skip


def plan_search(*, through: datetime, now: datetime, window: str | None = None) -> Search:
    """Return what is judged: the full hours of a window that ends at the watermark.

    Args:
        through: `complete_through`; hours that end after it may still be incomplete.
        now: the present (UTC); a watermark beyond it was measured by a clock that was wrong.
        window: its length such as `24h` or `3d`, at most 7 days.

    Raises:
        WindowError: the window cannot be judged.
    """
    asked = window or DEFAULT_WINDOW
    length = parse_length(asked, units="hdw")
    if length is None:
        raise WindowError("--window", repr(asked), why="it is no length")
    if not timedelta() < length <= LONGEST:
        raise WindowError("--window", asked, why="spikes are looked for in 1h to 7d")
    end = min(through, now).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return Search(end - length, end)


def stack_series(cells: pl.DataFrame) -> pl.DataFrame:
    """Return the sums by series, hour and `is_late`, of sums by all dimensions.

    Args:
        cells: rows of `at`, `endpoint_tag`, `provider`, `model`, `tenant_id`, `is_late` and `SUMS`.
    """
    return pl.concat(
        cells.select(
            pl.lit(name).alias("dimension"), within.alias("within"), value.alias("value"),
            "at", "is_late", *SUMS,
        ).group_by(*PLACE, "at", "is_late").agg(pl.col(SUMS).sum())
        for name, (within, value) in DIMENSIONS.items()
    )  # fmt: skip


def choose_series(stacked: pl.DataFrame, rules: SpikeRules) -> pl.DataFrame:
    """Return the series that can have a spike at all, by `series` and `PLACE`.

    The workspace is series 0, and always there. The rest have enough attempts in one of the days.
    """
    of_day = stacked.filter(~pl.col("is_late")).group_by(
        *PLACE, pl.col("at").dt.truncate("1d")
    ).agg(pl.col("attempts").sum())  # fmt: skip
    most = of_day.group_by(PLACE).agg(pl.col("attempts").max())
    is_whole = pl.col("dimension") == WORKSPACE
    chosen = most.filter((pl.col("attempts") >= rules.min_events) & ~is_whole).sort(
        "attempts", *PLACE, descending=[True, False, False, False]
    )
    whole = pl.DataFrame({"dimension": [WORKSPACE], "within": [""], "value": [ALL]})
    return pl.concat([whole, chosen.select(PLACE).head(MOST_SERIES)]).with_row_index("series")


def find_young(
    near: pl.DataFrame, series: pl.DataFrame, search: Search, rules: SpikeRules
) -> pl.DataFrame:
    """Return the series that were not seen `min_weeks` ago: no weekday of theirs says enough.

    Args:
        near: `PLACE` and `at` of the judged hours in the weeks before.
        series: those that are judged.
        search: what is judged.
        rules: from how many weeks on a series is old enough.
    """
    old = near.filter(pl.col("at") <= search.start_at - timedelta(weeks=rules.min_weeks))
    return series.join(old, on=PLACE, how="anti")


GRAIN_OF = MappingProxyType({grain.name: grain for grain in (HOUR, DAY)})
