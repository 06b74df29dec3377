"""The drivers stage: why the cost of a window differs from that of the window before it.

`explain_change` splits the change by factor and by dimension value, exactly, classifies it and
proposes a control. Frames in, frozen dataclasses out; reading the cube is `storage.drivers`'.
Comes after `publish`, in a job of its own. Formulas and rules stand in docs/why.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.drivers.classify import Finding, classify_change
from opsmeter_pipeline.drivers.controls import Control, propose_control
from opsmeter_pipeline.drivers.dimensions import OTHERS, Change, split_by_value
from opsmeter_pipeline.drivers.evidence import Scene, sum_sides
from opsmeter_pipeline.drivers.factors import (
    Cells,
    Key,
    Pair,
    Parts,
    Prices,
    add_up,
    read_cells,
    read_pair,
    read_prices,
    split_change,
    sum_parts,
)
from opsmeter_pipeline.drivers.limits import SPIKE_LIMITS, SpikeLimits
from opsmeter_pipeline.drivers.windows import Comparison
from opsmeter_pipeline.model.errors import SumsDifferError

__all__ = ["SPIKE_LIMITS", "Compared", "Comparison", "SpikeLimits", "Why", "explain_change"]


class Compared(NamedTuple):
    """What the warehouse says about two windows; each measure of both (`previous_` ones too).

    Attributes:
        cells: by `endpoint_tag`, `provider`, `model` and `is_late`.
        values: by `dimension`, `within` and `value`, of every dimension.
        tenants: by `endpoint_tag`, the `tenant_id` whose cost there grew most.
        prices: `provider`, `model`, `token_class` and a price per token, in force when the
            previous window began.
        newest_hour_at: start of the last hour with data; None without any.
    """

    cells: pl.DataFrame
    values: pl.DataFrame
    tenants: pl.DataFrame
    prices: pl.DataFrame
    newest_hour_at: datetime | None


@dataclass(frozen=True)
class Why:
    """Why a window cost more or less than the one before.

    Attributes:
        comparison: the two windows.
        spike_class: one of `classify.CLASSES`.
        total: the whole change, by factor.
        by: the change by value, per dimension; each sums up to the total.
        findings: what is worth naming, a spike's own driver first, each with its control.
        unpriced: models with attempts that have no price in either window.
        caveats: what a reader must know before trusting it.
    """

    comparison: Comparison
    spike_class: str
    total: Change
    by: Mapping[str, Sequence[Change]]
    findings: Sequence[tuple[Finding, Control]]
    unpriced: Sequence[Change]
    caveats: Sequence[str]


def explain_change(
    compared: Compared, comparison: Comparison, *, limit: int, limits: SpikeLimits = SPIKE_LIMITS
) -> Why:
    """Return why the cost of a window differs from that of the one before.

    Args:
        compared: what both hold.
        comparison: the two windows.
        limit: how many values of a dimension are shown; the rest are summed up.
        limits: what is a spike and worth naming.

    Raises:
        SumsDifferError: the parts do not sum up to the change, so the cubes disagree.
    """
    on_time, late, is_usual = _part_late(compared.cells, limits)
    prices = read_prices(compared.prices)
    parts = split_change(on_time, late, prices)
    total = _sum_up(on_time, late, parts)
    by = split_by_value(compared.values, total=total, parts=parts, limit=limit)
    scene = _set_scene(compared, total, limits, on_time=on_time, late=late,
                       parts=parts, prices=prices)  # fmt: skip
    spike_class, findings = classify_change(scene, total.pair, limits)
    return Why(
        comparison,
        spike_class,
        total,
        by,
        [(one, propose_control(one, comparison)) for one in findings],
        _find_unpriced(compared.values),
        [*_find_caveats(compared, comparison, total.pair, limits), *([_LATE] if is_usual else [])],
    )


_LATE = (
    "Most of a window's attempts arrived long after their hour, as history does that is loaded "
    "at once: late rows are not shown as one-off."
)


def _part_late(cells: pl.DataFrame, limits: SpikeLimits) -> tuple[Cells, Cells, bool]:
    """Return the groups that came in time, those that came late, and whether late is usual."""
    late = cells.filter("is_late")
    for prefix in ("", "previous_"):
        attempts, late_attempts = (int(frame[f"{prefix}attempts"].sum()) for frame in (cells, late))
        if late_attempts > limits.mostly_late_share * attempts:
            return read_cells(cells), {}, True
    return read_cells(cells.filter(~pl.col("is_late"))), read_cells(late), False


def _sum_up(on_time: Cells, late: Cells, parts: Mapping[Key, Parts]) -> Change:
    pairs = [*on_time.values(), *late.values()]
    total = Pair(*(sum_sides([pair[side] for pair in pairs]) for side in (0, 1)))
    factors = sum_parts(parts.values())
    found = add_up(factors.values())
    if found != total.change_usd:
        raise SumsDifferError("factor", expected=total.change_usd, found=found)
    return Change("total", "", "", total, factors)


def _set_scene(
    compared: Compared,
    total: Change,
    limits: SpikeLimits,
    *,
    on_time: Cells,
    late: Cells,
    parts: Mapping[Key, Parts],
    prices: Prices,
) -> Scene:
    versions: dict[str, list[tuple[str, Pair]]] = {}
    for row in compared.values.filter(dimension="prompt_version").sort("value").to_dicts():
        versions.setdefault(row["within"], []).append((row["value"], read_pair(row)))
    named = (pl.col("dimension") == "user_id") & (pl.col("value") != OTHERS)
    users = compared.values.filter(named).sort(
        pl.col("cost_usd") - pl.col("previous_cost_usd"), "within", "value",
        descending=[True, False, False],
    )  # fmt: skip
    first = users.head(1).to_dicts()
    return Scene(
        parts=parts,
        cells=on_time,
        late=late,
        prices=prices,
        versions=versions,
        tenants={
            row["endpoint_tag"]: (row["tenant_id"], read_pair(row))
            for row in compared.tenants.to_dicts()
        },
        user=next(((row["within"], row["value"], read_pair(row)) for row in first), None),
        total=total.pair,
        limits=limits,
    )


def _find_unpriced(values: pl.DataFrame) -> list[Change]:
    """Return the models with attempts that have no price, the most such attempts first."""
    rows = values.filter(
        pl.col("dimension") == "model",
        (pl.col("unpriced_attempts") > 0) | (pl.col("previous_unpriced_attempts") > 0),
    ).sort("unpriced_attempts", "within", "value", descending=[True, False, False])
    return [
        Change(row["dimension"], row["within"], row["value"], read_pair(row))
        for row in rows.to_dicts()
    ]


def _find_caveats(
    compared: Compared, comparison: Comparison, total: Pair, limits: SpikeLimits
) -> list[str]:
    caveats: list[str] = []
    names = ("previous window", "window")
    for name, side in zip(names, total, strict=True):
        if not side.attempts:
            caveats.append(f"There are no attempts in the {name}.")
        elif side.unpriced_attempts >= limits.unpriced_share * side.attempts:
            caveats.append(
                f"{side.unpriced_attempts} of {side.attempts} attempts in the {name} have no "
                f"price; what they cost is unknown and in no part of the change."
            )
    newest = compared.newest_hour_at
    if newest is not None and newest + timedelta(hours=1) < comparison.end_at:
        caveats.append(
            f"Nothing has arrived of the hours from {newest + timedelta(hours=1):%Y-%m-%dT%H:%MZ} "
            f"on; the window may not be complete."
        )
    return caveats
