"""Two windows written out by hand, as the warehouse would tell of them.

A `group` is what one endpoint, version, model, tenant and user had before and after; `compare`
sums groups up into the frames that `explain_change` takes, each by its own plain grouping.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from opsmeter_pipeline.drivers import Compared, Comparison, Why, explain_change
from opsmeter_pipeline.model.columns import INSTANT, MONEY
from opsmeter_pipeline.model.tables import COMPARED, PREVIOUS

WINDOW = Comparison(
    datetime(2026, 11, 9, tzinfo=UTC),
    datetime(2026, 11, 16, tzinfo=UTC),
    datetime(2026, 11, 23, tzinfo=UTC),
)
NEWEST = datetime(2026, 11, 22, 23, tzinfo=UTC)
SUMS = [column.name for column in (*COMPARED, *PREVIOUS)]
_KEYS = ("endpoint_tag", "prompt_version", "provider", "model", "tenant_id", "user_id")
_SCHEMA = {
    **dict.fromkeys(_KEYS, pl.String),
    "is_late": pl.Boolean,
    **{column.name: column.dtype for column in (*COMPARED, *PREVIOUS)},
}


def side(requests: int = 0, cost: str = "0", **changes: int) -> dict[str, Any]:
    """Return what a group had in a window: each request one attempt of 1000 + 100 tokens."""
    attempts = changes.pop("attempts", requests)
    return {
        "requests": requests,
        "attempts": attempts,
        "failures": 0,
        "unpriced_attempts": 0,
        "input_tokens": 1000 * attempts,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 100 * attempts,
        "cost_usd": Decimal(cost),
    } | changes


def group(before: dict[str, Any], after: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """Return a group of the two windows."""
    return {
        "endpoint_tag": "chat.reply",
        "prompt_version": "v1",
        "provider": "acme",
        "model": "small",
        "tenant_id": "t1",
        "user_id": "u1",
        "is_late": False,
        **{f"previous_{name}": value for name, value in before.items()},
        **after,
    } | keys


def compare(*groups: dict[str, Any], prices: dict[str, tuple[str, str]] | None = None) -> Compared:
    """Return what the warehouse would tell of these groups.

    Args:
        groups: what there is.
        prices: of a model of `acme`, the price of an input and of an output token.
    """
    frame = pl.DataFrame(list(groups), schema=_SCHEMA)
    places = {
        "endpoint_tag": (pl.lit(""), pl.col("endpoint_tag")),
        "prompt_version": (pl.col("endpoint_tag"), pl.col("prompt_version")),
        "model": (pl.col("provider"), pl.col("model")),
        "tenant_id": (pl.lit(""), pl.col("tenant_id")),
        "user_id": (pl.col("tenant_id"), pl.col("user_id")),
    }
    values = [
        _sum(frame.select(pl.lit(name).alias("dimension"), within.alias("within"),
                          value.alias("value"), *SUMS), "dimension", "within", "value")
        for name, (within, value) in places.items()
    ]  # fmt: skip
    growth = pl.col("cost_usd") - pl.col("previous_cost_usd")
    tenants = _sum(frame, "endpoint_tag", "tenant_id").sort(
        growth, "tenant_id", descending=[True, False]
    )
    listed = [
        ("acme", model, token_class, Decimal(price))
        for model, pair in (prices or {}).items()
        for token_class, price in zip(("uncached_input", "output"), pair, strict=True)
    ]
    return Compared(
        cells=_sum(frame, "endpoint_tag", "provider", "model", "is_late"),
        values=pl.concat(values),
        tenants=tenants.unique("endpoint_tag", keep="first", maintain_order=True),
        prices=pl.DataFrame(
            listed,
            schema={
                **dict.fromkeys(("provider", "model", "token_class"), pl.String),
                "price_usd_per_unit": MONEY,
            },
            orient="row",
        ),
        newest_hour_at=pl.Series([NEWEST if groups else None], dtype=INSTANT).item(),
    )


def explain(*groups: dict[str, Any], prices: dict[str, tuple[str, str]] | None = None) -> Why:
    """Return why the window differs."""
    return explain_change(compare(*groups, prices=prices), WINDOW, limit=10)


def factors_of(why: Why) -> dict[str, Decimal]:
    """Return the parts by factor that are not 0."""
    return {name: part for name, part in (why.total.factors or {}).items() if part}


def _sum(frame: pl.DataFrame, *keys: str) -> pl.DataFrame:
    return frame.group_by(keys, maintain_order=True).agg(pl.col(SUMS).sum())
