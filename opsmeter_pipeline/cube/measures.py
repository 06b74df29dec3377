"""What one event adds to the measures of a cube, and the measures of many as columns.

Add a measure here, in `kernel` and in `model.tables.cubes`. What is null adds nothing.
"""

from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from opsmeter_pipeline.cube import kernel
from opsmeter_pipeline.model.columns import MONEY
from opsmeter_pipeline.model.sql import NO_FAILURE

TOLD: Final = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "latency_ms")
"""Counts that an event may leave untold."""
MEASURES_READ: Final = (
    *("is_first_attempt", "attempt_inferred", "outcome", "input_tokens", "output_tokens"),
    *(*TOLD, "cost_usd", "unpriced_low_usd", "unpriced_high_usd"),
)
"""The columns of `events` that the measures need."""
PRICED_MEASURES: Final = (
    *("unpriced_attempts", "unbounded_attempts", "unpriced_low_usd", "unpriced_high_usd"),
    *("cost_usd", "inferred_cost_usd", "failed_cost_usd"),
)
"""The measures that another price would change."""
_COUNTS = MappingProxyType(
    {
        "requests": kernel.REQUESTS,
        "attempts": kernel.ATTEMPTS,
        "redeliveries": kernel.REDELIVERIES,
        "inferred_attempts": kernel.INFERRED,
        "failures": kernel.FAILURES,
        "input_tokens": kernel.INPUT,
        "cache_read_tokens": kernel.CACHE_READ,
        "cache_write_tokens": kernel.CACHE_WRITE,
        "output_tokens": kernel.OUTPUT,
        "reasoning_tokens": kernel.REASONING,
        "latency_ms": kernel.LATENCY,
        "timed_attempts": kernel.TIMED,
        "unpriced_attempts": kernel.UNPRICED,
        "unbounded_attempts": kernel.UNBOUNDED,
    }
)
_MONEY = MappingProxyType(
    {
        "unpriced_low_usd": kernel.LOW,
        "unpriced_high_usd": kernel.HIGH,
        "cost_usd": kernel.COST,
        "inferred_cost_usd": kernel.INFERRED_COST,
        "failed_cost_usd": kernel.FAILED_COST,
    }
)
_PARTS = pl.lit(kernel.PARTS_OF_DOLLAR, pl.Int128)
_ONE_PART = pl.lit(1 / Decimal(kernel.PARTS_OF_DOLLAR), MONEY)


def describe_events(events: pl.DataFrame) -> kernel.Events:
    """Return what each event adds.

    Args:
        events: rows of `events`, at least the columns `MEASURES_READ`.
    """
    cost = events["cost_usd"]
    is_failed = events.select(~pl.col("outcome").is_in(NO_FAILURE)).to_series()
    return kernel.Events(
        is_first=to_array(events["is_first_attempt"]),
        is_inferred=to_array(events["attempt_inferred"]),
        is_failed=to_array(is_failed),
        is_unpriced=to_array(cost.is_null()),
        is_unbounded=to_array(cost.is_null() & events["unpriced_high_usd"].is_null()),
        is_timed=to_array(events["latency_ms"].is_not_null()),
        **{name: _count(events[name]) for name in ("input_tokens", "output_tokens", *TOLD)},
        cost=_split(cost),
        low=_split(events["unpriced_low_usd"]),
        high=_split(events["unpriced_high_usd"]),
    )


def name_measures(sums: kernel.Ints) -> dict[str, pl.Series]:
    """Return the columns of sums by their measures' names."""
    counts = {name: to_column(sums, column) for name, column in _COUNTS.items()}
    dollars = {name: to_column(sums, column) for name, column in _MONEY.items()}
    parts = {name: to_column(sums, column + 1) for name, column in _MONEY.items()}
    return counts | {name: _join(whole, parts[name]) for name, whole in dollars.items()}


def to_column(sums: NDArray[np.generic], column: int) -> pl.Series:
    """Return a column of sums; a copy, which Polars takes over as it is."""
    return pl.Series(sums[:, column].copy())


def to_array(values: pl.Series) -> NDArray[Any]:
    """Return values that are not null, in memory that compiled code reads.

    Raises:
        ValueError: one is null.
    """
    if values.has_nulls():
        message = f"{values.name!r} is null in {values.null_count()} rows"
        raise ValueError(message)
    array = values.to_numpy()
    array.flags.writeable = False  # always: Numba would compile again for memory of another kind
    return array


def _count(told: pl.Series) -> kernel.Ints:
    return to_array(told.fill_null(0))


def _split(money: pl.Series) -> kernel.Money:
    """Return money as whole dollars and the parts beyond them."""
    if money.null_count() == len(money):
        nothing = to_array(pl.zeros(len(money), pl.Int64, eager=True))
        return kernel.Money(nothing, nothing)
    every = pl.lit(money.cast(MONEY).fill_null(0).to_physical())
    split = pl.select(dollars=every // _PARTS, parts=every % _PARTS)
    return kernel.Money(*(to_array(one.cast(pl.Int64)) for one in split))


def _join(dollars: pl.Series, parts: pl.Series) -> pl.Series:
    whole, beyond = pl.lit(dollars), pl.lit(parts)
    joined = whole.cast(MONEY) + beyond.cast(pl.Decimal(38, 0)) * _ONE_PART
    return pl.select(joined.cast(MONEY)).to_series()
