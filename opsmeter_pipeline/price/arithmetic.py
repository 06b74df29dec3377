"""Tokens times prices, in exact decimals.

Token classes are disjoint before they are multiplied: uncached input, cache reads, cache writes
of either duration, output, reasoning. Prices per token are exact with 18 decimals, so nothing is
divided and nothing is rounded. What has no price costs null and says why.
"""

from collections.abc import Collection
from functools import reduce
from operator import add, sub

import polars as pl

from opsmeter_pipeline.model.columns import MONEY

_CLASSES = (
    "uncached_input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "output",
    "reasoning",
    "request",
)
_CARD = ("price_id", "provider_id", "model_id", "priority", "valid_from", "valid_to",
         "window_start", "window_end", "tier_threshold_tokens")  # fmt: skip
NAMES = ("provider", "model")
"""What a caller names a model by; in events and resolutions alike."""
_PARTS = ("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens")
_BOUNDS = ("valid_from", "valid_to", "window_start", "window_end", "tier_threshold_tokens")
_SPECIAL_UNITS = ("input_audio_tokens", "input_image_tokens", "output_audio_tokens", "web_searches")


def build_cards(catalogue: pl.DataFrame, resolutions: pl.DataFrame) -> pl.DataFrame:
    """Return one row per resolved name and price card: the prices in force together, a column each.

    A class without a price of its own takes its parent's: one-hour cache writes that of cache
    writes, cache reads and writes that of uncached input, reasoning that of output (the
    catalogue's own rule).

    Args:
        catalogue: rows of `price_catalogue` of one source version.
        resolutions: rows of `model_resolutions`.
    """
    wide = catalogue.pivot("token_class", index=_CARD, values="price_usd_per_unit")
    absent = [pl.lit(None, MONEY).alias(name) for name in _CLASSES if name not in wide.columns]
    wide = wide.with_columns(absent).with_columns(
        pl.coalesce("cache_write_1h", "cache_write", "uncached_input").alias("cache_write_1h"),
        pl.coalesce("cache_write", "uncached_input").alias("cache_write"),
        pl.coalesce("cache_read", "uncached_input").alias("cache_read"),
        pl.coalesce("reasoning", "output").alias("reasoning"),
        pl.col("request").fill_null(0),
    )
    names = resolutions.select(*NAMES, "provider_id", "model_id")
    return names.join(wide, on=["provider_id", "model_id"]).drop("provider_id", "model_id")


def price_events(events: pl.DataFrame, cards: pl.DataFrame) -> pl.DataFrame:
    """Return the events with `cost_usd`, `price_id` and `unpriced_reason`, in their order.

    `cost_usd` is null where and only where `unpriced_reason` is not: `unknown_model` (no card
    for the name), `service_tier` (other than default), `special_units` (audio, images, searches)
    or `no_token_price` (the model has no price for a class that was used).
    """
    priced = events.hstack(_choose_cards(events, cards).drop("seq"))
    reason = (
        pl.when(pl.col("price_id").is_null()).then(pl.lit("unknown_model"))
        .when(pl.col("service_tier").fill_null("default") != "default")
        .then(pl.lit("service_tier"))
        .when(pl.any_horizontal(pl.col(unit).fill_null(0) > 0 for unit in _SPECIAL_UNITS))
        .then(pl.lit("special_units"))
        .when(pl.col("cost_usd").is_null()).then(pl.lit("no_token_price"))
        .cast(pl.Categorical).alias("unpriced_reason")
    )  # fmt: skip
    is_priced = pl.col("unpriced_reason").is_null()
    told = {name for name in _PARTS if priced[name].null_count() < priced.height}
    return (
        priced.with_columns(_cost(told).alias("cost_usd"))
        .with_columns(reason)
        .with_columns(
            pl.when(is_priced).then(name).alias(name) for name in ("cost_usd", "price_id")
        )
        .drop(_CLASSES)
    )


def _choose_cards(events: pl.DataFrame, cards: pl.DataFrame) -> pl.DataFrame:
    """Return the events' `seq` with the one card in force, in their order.

    Most names have one card for all times and sizes, and need no choice.
    """
    cards = cards.with_columns(
        *(pl.col(name).cast(events.schema[name]) for name in NAMES),
        pl.col("price_id").cast(pl.Categorical),
    )
    is_alone = pl.len().over(NAMES) == 1
    is_bounded = pl.any_horizontal(pl.col(bound).is_not_null() for bound in _BOUNDS)
    plain = cards.filter(is_alone & ~is_bounded)
    wanted = ("price_id", *_CLASSES)
    chosen = events.select("seq", *NAMES).join(plain, on=NAMES, how="left", maintain_order="left")
    chosen = chosen.select("seq", *wanted)
    if plain.height == cards.height:
        return chosen
    several = _choose_among(events, cards.join(plain, on="price_id", how="anti"))
    return chosen.update(several.select("seq", *wanted), on="seq", how="left")


def _choose_among(events: pl.DataFrame, cards: pl.DataFrame) -> pl.DataFrame:
    """Return the card in force of events whose name has several, or one that is bounded."""
    at, clock = pl.col("occurred_at"), pl.col("occurred_at").dt.time()
    wraps = pl.col("window_start") > pl.col("window_end")
    after, before = clock >= pl.col("window_start"), clock < pl.col("window_end")
    in_force = (
        (at >= pl.col("valid_from")).fill_null(value=True)
        & (at < pl.col("valid_to")).fill_null(value=True)
        & pl.when(wraps).then(after | before).otherwise(after & before).fill_null(value=True)
        & (pl.col("input_tokens") > pl.col("tier_threshold_tokens")).fill_null(value=True)
    )
    return (
        events.lazy()
        .select("seq", *NAMES, "occurred_at", "input_tokens")
        .join(cards.lazy(), on=NAMES)
        .filter(in_force)
        .sort("seq", "priority", "tier_threshold_tokens", nulls_last=False)
        .unique("seq", keep="last", maintain_order=True)
        .collect()
    )


def _cost(told: Collection[str]) -> pl.Expr:
    """Return what the tokens cost; parts that no event tells of are not multiplied at all."""
    read, write, write_1h, reasoning = (
        pl.col(name).fill_null(0) if name in told else None for name in _PARTS
    )
    tokens = {
        "uncached_input": _less(pl.col("input_tokens"), read, write),
        "cache_read": read,
        "cache_write": write if write is None else _less(write, write_1h),
        "cache_write_1h": write_1h,
        "output": _less(pl.col("output_tokens"), reasoning),
        "reasoning": reasoning,
        "request": pl.lit(1, pl.Int64),
    }
    used = {price: units for price, units in tokens.items() if units is not None}
    return reduce(add, (_times(units, price) for price, units in used.items()))


def _less(whole: pl.Expr, *parts: pl.Expr | None) -> pl.Expr:
    return reduce(sub, (part for part in parts if part is not None), whole)


def _times(units: pl.Expr, price: str) -> pl.Expr:
    """Return units times price; none of something costs nothing, priced or not."""
    cost = units.cast(pl.Decimal(38, 0)) * pl.col(price)
    return pl.when(units == 0).then(pl.lit(0).cast(MONEY)).otherwise(cost.cast(MONEY))
