"""The split of a cost change by value of a dimension: endpoint, version, model, tenant, user.

A value's part is its cost in the window minus its cost in the previous one. Only endpoints and
models are split by factor as well, because that is where the factors are defined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from opsmeter_pipeline.drivers.factors import (
    MEASURES,
    Key,
    Pair,
    Parts,
    add_up,
    read_pair,
    sum_parts,
)
from opsmeter_pipeline.model.errors import DimensionError, SumsDifferError

DIMENSIONS = ("endpoint_tag", "prompt_version", "model", "tenant_id", "user_id")
OTHERS = "(others)"
_PLACE = ("dimension", "within", "value")


@dataclass(frozen=True)
class Change:
    """One value's part of a cost change.

    Attributes:
        dimension: one of `DIMENSIONS`, or `total`.
        within: endpoint of a prompt version, provider of a model, tenant of a user; else empty.
        value: the value, or `(others)`.
        pair: what it had in both windows.
        factors: its part by factor; None where that is not defined.
    """

    dimension: str
    within: str
    value: str
    pair: Pair
    factors: Parts | None = None


def choose_dimensions(named: str | None) -> tuple[str, ...]:
    """Return the dimensions of a list with commas; all of them if nothing is named.

    Raises:
        DimensionError: one of them is none.
    """
    if named is None:
        return DIMENSIONS
    names = tuple(dict.fromkeys(name.strip() for name in named.split(",")))
    for name in names:
        if name not in DIMENSIONS:
            raise DimensionError(name, DIMENSIONS)
    return names


def split_by_value(
    values: pl.DataFrame, *, total: Change, parts: Mapping[Key, Parts], limit: int
) -> dict[str, list[Change]]:
    """Return the changes by value, per dimension, the largest first; each sums to the total.

    Args:
        values: `dimension`, `within`, `value` and both windows' measures, one row per value.
        total: the whole change.
        parts: the parts per model at an endpoint, by factor.
        limit: how many values of a dimension are shown; the rest are `(others)`.

    Raises:
        SumsDifferError: the values of a dimension do not sum up to the total.
    """
    found: dict[str, list[Change]] = {}
    for name in DIMENSIONS:
        rows = values.filter(dimension=name)
        changes = [_to_change(row, parts) for row in _fold(rows, limit).iter_rows(named=True)]
        changes = _complete_others(changes, total)
        summed = add_up(one.pair.change_usd for one in changes)
        if summed != total.pair.change_usd:
            raise SumsDifferError(name, expected=total.pair.change_usd, found=summed)
        found[name] = changes
    return found


def _fold(rows: pl.DataFrame, limit: int) -> pl.DataFrame:
    """Return the rows that changed most, and a row `(others)` for the rest if there is one."""
    measures = [name for one in MEASURES for name in (one, f"previous_{one}")]
    change = pl.col("cost_usd") - pl.col("previous_cost_usd")
    ranked = rows.sort(
        pl.col("value") == OTHERS, change.abs(), *_PLACE, descending=[False, True, *[False] * 3]
    ).select(*_PLACE, *measures)
    rest = ranked.slice(limit)
    if not rest.is_empty() and limit + 1 == ranked.height and rest["value"].item() != OTHERS:
        return ranked  # one more row in place of a row for one
    if rest.is_empty():
        return ranked
    others = rest.select(
        pl.col("dimension").first(),
        pl.lit("").alias("within"),
        pl.lit(OTHERS).alias("value"),
        pl.col(measures).sum(),
    )
    return pl.concat([ranked.head(limit), others])


def _to_change(row: Mapping[str, object], parts: Mapping[Key, Parts]) -> Change:
    dimension, within, value = (str(row[name]) for name in _PLACE)
    return Change(
        dimension, within, value, read_pair(row), _sum_of(dimension, within, value, parts)
    )


def _sum_of(dimension: str, within: str, value: str, parts: Mapping[Key, Parts]) -> Parts | None:
    if value == OTHERS:
        return None
    if dimension == "endpoint_tag":
        return sum_parts(one for key, one in parts.items() if key.endpoint_tag == value)
    if dimension == "model":
        name = (within, value)
        return sum_parts(one for key, one in parts.items() if (key.provider, key.model) == name)
    return None


def _complete_others(changes: Sequence[Change], total: Change) -> list[Change]:
    """Return the changes with the factors of `(others)`: what the total has beyond the named."""
    named = [one.factors for one in changes if one.factors is not None]
    if not named or total.factors is None:
        return [*changes]
    sums = sum_parts(named)
    left = {name: add_up([amount, -sums[name]]) for name, amount in total.factors.items()}
    return [
        Change(one.dimension, one.within, one.value, one.pair, left) if one.value == OTHERS else one
        for one in changes
    ]
