"""Between what and what an event without a price may cost.

Each class of units that its card prices costs just that. Any other costs between the cheapest and
the dearest rate of comparable models, see `price.comparable`. Multiplied only, never divided. Add a
factor here when a service tier is new; the rules are argued in ADR 0020.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import reduce
from operator import add
from types import MappingProxyType

import polars as pl

from opsmeter_pipeline.model.columns import MONEY
from opsmeter_pipeline.price.cards import CLASSES, NAMES, UNTOLD
from opsmeter_pipeline.price.comparable import EVERYBODY, UNTOLD_CLASSES, Comparables
from opsmeter_pipeline.price.lattice import PARTS, Split, split_counts, times

BOUNDS = ("unpriced_low_usd", "unpriced_high_usd")
TIER_FACTORS: Mapping[str, tuple[Decimal, Decimal]] = MappingProxyType(
    {
        "batch": (Decimal("0.5"), Decimal(1)),
        "flex": (Decimal("0.5"), Decimal(1)),
        "priority": (Decimal(1), Decimal("2.5")),
        "fast": (Decimal(1), Decimal("2.5")),
    }
)
"""How many times the standard price a service tier costs, at least and at most: the extremes of
genai-prices 0.2.3, over all models and classes that have both."""
_INPUT = {
    "uncached_input": None,
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "input_audio": "input_audio_tokens",
    "input_audio_cache_read": "input_audio_tokens",
    "input_image": "input_image_tokens",
    "input_image_cache_read": "input_image_tokens",
}
_OUTPUT = {"output": None, "reasoning": "reasoning_tokens", "output_audio": "output_audio_tokens"}
_BESIDE = ("web_search", "request")
_LEVELS = ("model_pool", "seller_pool", "everybody")
_TIMED = ("audio", "input_audio_time")
"""Prices by the hour: what they come to, no count of tokens tells."""


def bound_events(
    events: pl.DataFrame, cards: pl.DataFrame, *, chosen: pl.Series, comparables: Comparables
) -> pl.DataFrame:
    """Return `unpriced_low_usd` and `unpriced_high_usd` of events without a price, in their order.

    Both are null where nothing compares: a name that was never asked for, a model priced by the
    hour, a class that nobody prices.

    Args:
        events: as `price_events` takes them.
        cards: what `build_cards` returned.
        chosen: the place of each event's card, null if none counts.
        comparables: what `build_comparables` returned for the names of these cards.
    """
    split = split_counts({name for name in PARTS if events[name].null_count() < events.height})
    case, cases = _find_cases(events, comparables)
    has_steps = cards["steps"].is_not_null()
    prices = cards.select(
        pl.when(~has_steps).then(name).alias(name) for name in CLASSES
    ).hstack(cards.select("has_image_price", *(f"untold_{whole}" for whole in UNTOLD)))  # fmt: skip
    rated = [f"{e}_{name}" for name in (*split.units, *UNTOLD_CLASSES) for e in ("low", "high")]
    counted = (
        events.select("input_tokens", "output_tokens", *split.told)
        .hstack(prices[chosen])
        .hstack(cases.select(rated)[case])
        .with_columns(
            pl.col("has_image_price").fill_null(value=True),
            *(pl.col(f"untold_{whole}").fill_null(value=False) for whole in UNTOLD),
        )
    )
    return _bound(counted, split)


def _find_cases(events: pl.DataFrame, comparables: Comparables) -> tuple[pl.Series, pl.DataFrame]:
    """Return which case each event is, and the rates of the cases: names, times and sizes alike."""
    tier = pl.col("service_tier").cast(pl.String)
    names = [pl.col(name).cast(pl.String) for name in NAMES]
    asked = events.select(*names, "occurred_at", "input_tokens", tier).join(
        comparables.names, on=NAMES, how="left", maintain_order="left"
    )
    asked = asked.with_columns(
        pl.when(pl.col("seller_pool").is_not_null()).then(pl.lit(EVERYBODY)).alias("everybody")
    )
    placed = asked.with_columns(
        _place(asked, pool, comparables.rates).alias(pool) for pool in _LEVELS
    ).select(*_LEVELS, "service_tier", "is_least", "may_be_free", "is_untellable")
    kinds = placed.unique(maintain_order=True).with_row_index("case")
    found = placed.join(kinds, on=placed.columns, how="left", nulls_equal=True,
                        maintain_order="left")  # fmt: skip
    return found["case"], _rate_cases(kinds, comparables.rates)


def _place(asked: pl.DataFrame, pool: str, rates: pl.DataFrame) -> pl.Series:
    """Return the place in `rates` of what holds in a pool for each event; null if nothing."""
    limits = rates.select("pool", "large_above").unique()
    starts = rates.select("pool", "valid_from", "is_large").with_row_index("place")
    sized = asked.select("occurred_at", "input_tokens", pl.col(pool).alias("pool")).with_row_index(
        "row"
    )
    is_large = (pl.col("input_tokens") > pl.col("large_above")).fill_null(value=False)
    return (
        sized.join(limits, on="pool", how="left")
        .with_columns(is_large.alias("is_large"))
        .sort("occurred_at")
        .join_asof(
            starts, left_on="occurred_at", right_on="valid_from", by=["pool", "is_large"],
            check_sortedness=False,
        )
        .sort("row")["place"]
    )  # fmt: skip


def _rate_cases(kinds: pl.DataFrame, rates: pl.DataFrame) -> pl.DataFrame:
    """Return the lowest and the highest rate of each class in each case."""
    sides = [rates[kinds[level]].rename(lambda name, of=level: f"{of}.{name}") for level in _LEVELS]
    every = pl.concat([kinds.drop(_LEVELS), *sides], how="horizontal")
    least, most = (
        pl.col("service_tier").replace_strict(
            {tier: factors[end] for tier, factors in TIER_FACTORS.items()},
            default=Decimal(1), return_dtype=pl.Decimal(38, 1),
        )
        for end in (0, 1)
    )  # fmt: skip
    is_known, may_be_free = ~pl.col("is_untellable"), pl.col("may_be_free")
    unbilled = pl.when(kinds["model_pool"].is_not_null()).then(pl.lit(0, MONEY))
    columns: list[pl.Expr] = []
    for name in CLASSES:
        low, high = (f"{end}_{name}" for end in ("low", "high"))
        by_sellers = pl.coalesce(f"seller_pool.{high}", f"everybody.{high}")
        dearest = pl.when(may_be_free | pl.col("is_least")).then(
            pl.max_horizontal(f"model_pool.{high}", by_sellers)
        ).otherwise(pl.coalesce(f"model_pool.{high}", by_sellers))  # fmt: skip
        cheapest = pl.when(may_be_free).then(pl.lit(0, MONEY)).otherwise(
            pl.coalesce(f"model_pool.{low}", unbilled, f"seller_pool.{low}", f"everybody.{low}")
        )  # fmt: skip
        columns += [
            pl.when(is_known).then((cheapest * least).cast(MONEY)).alias(low),
            pl.when(is_known).then((dearest * most).cast(MONEY)).alias(high),
        ]
    aside = [
        pl.col(f"model_pool.{end}_{name}").alias(f"{end}_{name}")
        for name in UNTOLD_CLASSES
        for end in ("low", "high")
    ]
    return every.select(*columns, *aside)


def _bound(counted: pl.DataFrame, split: Split) -> pl.DataFrame:
    """Return both bounds, or null for both where one is not known."""
    low, high = (_total(end, split) for end in ("low", "high"))
    both = counted.select(low.alias(BOUNDS[0]), high.alias(BOUNDS[1]))
    is_known = pl.all_horizontal(pl.col(name).is_not_null() for name in BOUNDS)
    return both.select(pl.when(is_known).then(name).alias(name) for name in BOUNDS)


def _total(end: str, split: Split) -> pl.Expr:
    """Return what all units cost at one end."""
    unclear = split.doubts.get("overlapping_parts", pl.lit(value=False)).fill_null(value=False)
    wholes = [
        _whole("input", _INPUT, end=end, split=split, is_unclear=unclear),
        _whole("output", _OUTPUT, end=end, split=split, is_unclear=pl.lit(value=False)),
    ]
    beside = [name for name in _BESIDE if name in split.units]
    return reduce(add, [*wholes, *(_cost(name, end, split) for name in beside)])


def _whole(
    whole: str,
    parts: Mapping[str, str | None],
    *,
    end: str,
    split: Split,
    is_unclear: pl.Expr,
) -> pl.Expr:
    """Return what input or output costs; where its split is not told, at one rate for all of it.

    That rate is the cheapest, or the dearest, of all classes its tokens can be of.
    """
    used = [name for name in parts if name in split.units]
    apart = reduce(add, (_cost(name, end, split) for name in used))
    tokens = pl.col(f"{whole}_tokens")
    is_untold = pl.col(f"untold_{whole}") & (tokens > 0)
    pick = pl.min_horizontal if end == "low" else pl.max_horizontal
    told = [(_is_told(parts[name]), _rate(name, end)) for name in used]
    extra = [pl.col(f"{end}_{name}") for name in UNTOLD[whole] if name not in _TIMED]
    picked = pick(
        *(pl.when(is_told).then(rate) for is_told, rate in told),
        *(pl.when(is_untold).then(rate) for rate in extra),
    )
    is_unknown = pl.any_horizontal(
        *(is_told & rate.is_null() for is_told, rate in told),
        *(is_untold & pl.col(f"low_{name}").is_not_null()
          for name in UNTOLD[whole] if name in _TIMED),
    )  # fmt: skip
    together = pl.when(~is_unknown).then(times(tokens, picked))
    return pl.when(is_unclear | is_untold).then(together).otherwise(apart)


def _is_told(count: str | None) -> pl.Expr:
    return pl.lit(value=True) if count is None else (pl.col(count) > 0).fill_null(value=False)


def _rate(name: str, end: str) -> pl.Expr:
    """Return a unit's rate: the card's, else that of comparable models."""
    return pl.coalesce(name, f"{end}_{name}")


def _cost(name: str, end: str, split: Split) -> pl.Expr:
    return times(split.units[name], _rate(name, end))
