"""What quarantined lines may have cost: money that is held back, told apart from cost.

An estimate takes the same cards and the same arithmetic as an event. It is exact for the tokens it
was given; whether these are right is what the rule doubts. Add a reason here when a line cannot be
estimated for another one. Nothing here is ever added to a cost.
"""

import polars as pl

from opsmeter_pipeline.model.columns import MONEY
from opsmeter_pipeline.model.wire import PARTS_OF
from opsmeter_pipeline.price.arithmetic import NAMES, price_events
from opsmeter_pipeline.price.comparable import NOTHING_COMPARABLE

NO_MODEL = "no_model"
NO_TOKENS = "no_tokens"


def estimate_refused(refused: pl.DataFrame, cards: pl.DataFrame) -> pl.DataFrame:
    """Return refused lines with `estimated_cost_usd` and `unestimated_reason`, in their order.

    The estimate is null where and only where the reason is not: `no_model` (provider or model not
    told), `no_tokens` (input or output tokens not told), or why an event had no price. Parts above
    their whole are priced as plain tokens. A time that is not told, or later than the receipt, is
    taken to be the receipt's. Prices for one environment or tenant are left out: a refused line
    does not say reliably whose it is.

    Args:
        refused: rows as they are staged, see `model.tables.REFUSED`.
        cards: as `build_cards` gives them, the refused names among them.
    """
    numbered = refused.with_row_index("seq")
    has_model = pl.all_horizontal(pl.col(name).is_not_null() for name in NAMES)
    has_tokens = pl.col("input_tokens").is_not_null() & pl.col("output_tokens").is_not_null()
    priced = price_events(
        _to_usage(numbered.filter(has_model & has_tokens)), cards, comparables=NOTHING_COMPARABLE
    ).select(
        "seq",
        pl.col("cost_usd").cast(MONEY).alias("estimated_cost_usd"),
        pl.col("unpriced_reason").cast(pl.String).alias("unestimated_reason"),
    )
    untold = (
        pl.when(~has_model).then(pl.lit(NO_MODEL)).when(~has_tokens).then(pl.lit(NO_TOKENS))
    )  # fmt: skip
    return (
        numbered.join(priced, on="seq", how="left", maintain_order="left")
        .with_columns(pl.coalesce(untold, "unestimated_reason").alias("unestimated_reason"))
        .drop("seq")
    )


def _to_usage(refused: pl.DataFrame) -> pl.DataFrame:
    """Return lines as `price_events` takes events: parts within their whole, a time for each."""
    usage = refused.with_columns(pl.col(*NAMES, "service_tier").cast(pl.Categorical))
    for parts, whole in PARTS_OF:
        fits = sum((pl.col(part).fill_null(0) for part in parts), start=pl.lit(0)) <= pl.col(whole)
        usage = usage.with_columns(pl.when(fits).then(part).alias(part) for part in parts)
    return usage.with_columns(
        pl.min_horizontal("occurred_at", "ingested_at").alias("occurred_at"),
        *(pl.lit(None, pl.Categorical).alias(name) for name in ("environment", "tenant_id")),
    )
