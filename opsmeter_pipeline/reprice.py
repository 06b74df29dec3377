"""The reprice stage: what published events would cost by the prices of today, and what that moves.

Compares and lists; nothing is priced or written here. Prices are multiplied by `price`, sums are
made anew by `cube` and `tracking`, and `storage.restate` replaces rows. Comes after `publish`, in a
job of its own, because a price never changes what was priced unless a person asks for it.
"""

from decimal import Decimal

import polars as pl

from opsmeter_pipeline.model.tables import PRICED, RESTATEMENTS

PLACE = ("batch_id", "file", "line_number")
_COST, _FORMER = pl.col("cost_usd"), pl.col("former_cost_usd")
_COMPARED = tuple(name for name in PRICED if name != "price_id")
"""Prices of the same amount under another id change nothing that is reported."""
_GROUP = ("batch_id", "day", "environment", "data_mode", "provider", "model")
LISTED = (
    *_GROUP,
    *("attempts", "newly_priced_attempts", "newly_unpriced_attempts"),
    *("former_cost_usd", "cost_usd", "change_cost_usd"),
)
"""The columns of `restatements` that follow from the events."""


def find_changed(events: pl.DataFrame, priced: pl.DataFrame) -> pl.DataFrame:
    """Return the events that today's prices cost otherwise: `row`, both costs, and what is new.

    Args:
        events: rows of `events` as they are published, with their place `row` among them.
        priced: some of them with what they would cost now; `row` says which.

    Returns:
        `row`, the columns `PRICED` as they would be, and `former_cost_usd`, null if it had none.
    """
    former = events.select("row", *(pl.col(name).alias(f"former_{name}") for name in _COMPARED))
    both = priced.select("row", *PRICED).join(former, on="row")
    is_same = [
        _as_text(name).eq_missing(_as_text(f"former_{name}"))
        if name.endswith("_reason")
        else pl.col(name).eq_missing(pl.col(f"former_{name}"))
        for name in _COMPARED
    ]
    changed = both.filter(~pl.all_horizontal(is_same))
    return changed.select("row", *PRICED, "former_cost_usd").sort("row")


def put_prices(events: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """Return the events with what `find_changed` found in the place of what they had."""
    rows = changed["row"]
    named = [name for name in PRICED if name in events.columns]
    return events.with_columns(
        events[name].scatter(rows, changed[name].cast(events.schema[name])) for name in named
    )


def list_restatements(events: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """Return what changes per batch, UTC day of the event, environment, data mode and model.

    The columns are `LISTED`.

    Args:
        events: the events as they were.
        changed: what `find_changed` found.
    """
    told = events[changed["row"]].select(
        *_GROUP[:1], pl.col("occurred_at").dt.date().alias("day"), *_GROUP[2:]
    )
    sums = told.hstack(changed.select("cost_usd", "former_cost_usd")).group_by(_GROUP).agg(
        pl.len().cast(pl.Int64).alias("attempts"),
        (_FORMER.is_null() & _COST.is_not_null()).sum().cast(pl.Int64)
        .alias("newly_priced_attempts"),
        (_FORMER.is_not_null() & _COST.is_null()).sum().cast(pl.Int64)
        .alias("newly_unpriced_attempts"),
        _FORMER.sum(), _COST.sum(),
    )  # fmt: skip
    rows = sums.with_columns(change_cost_usd=_COST - _FORMER)
    return rows.select(pl.col(name).cast(RESTATEMENTS.schema[name]) for name in LISTED).sort(_GROUP)


def sum_listed(listed: pl.DataFrame) -> dict[str, int | Decimal]:
    """Return the sums of `list_restatements`: each measure's total, 0 of nothing."""
    return listed.select(pl.col(LISTED[len(_GROUP) :]).sum()).row(0, named=True)


def _as_text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String)
