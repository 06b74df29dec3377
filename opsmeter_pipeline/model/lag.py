"""The bins that lags are counted by: whole seconds first, then steps of at most a sixtieth.

A bin is named by its upper end, which belongs to it, so that `lag <= limit` is exact for each
limit that is such an end. Objectives must be one (`model.objective`), so an objective can change
and all of history is judged by the new one, to the last event (ADR 0021).
"""

from typing import NamedTuple

import polars as pl


class Step(NamedTuple):
    """From which lag on bins have which width, both in seconds."""

    above_seconds: int
    width_seconds: int


STEPS = (
    *(Step(0, 1), Step(120, 2), Step(300, 5), Step(900, 15), Step(3600, 60), Step(14_400, 240)),
    *(Step(86_400, 1440), Step(864_000, 14_400), Step(8_640_000, 86_400)),
)
"""Each begins at a multiple of its width. A width is 1 s or at most 1/60 of any lag in its bins."""


def bin_seconds(seconds: int) -> int:
    """Return the upper end of the bin of a lag of whole seconds.

    >>> [bin_seconds(one) for one in (0, 7, 120, 121, 300, 301, 3601)]
    [0, 7, 120, 122, 300, 305, 3660]
    """
    width = max((one.width_seconds for one in STEPS if seconds > one.above_seconds), default=1)
    return -(-seconds // width) * width


def to_bin(lag: pl.Expr) -> pl.Expr:
    """Return a duration's bin, by its upper end in seconds; null if the lag is negative.

    >>> from datetime import timedelta
    >>> lags = [timedelta(seconds=300), timedelta(seconds=300, microseconds=1), timedelta(-1)]
    >>> pl.DataFrame({"lag": lags}).select(to_bin(pl.col("lag")))["lag"].to_list()
    [300, 305, None]
    """
    microseconds = lag.dt.total_microseconds()
    seconds = -(-microseconds // 1_000_000)
    width = pl.lit(1, pl.Int64)
    for step in STEPS[1:]:
        width = pl.when(seconds > step.above_seconds).then(step.width_seconds).otherwise(width)
    return pl.when(microseconds >= 0).then(-(-seconds // width) * width).cast(pl.Int64)
