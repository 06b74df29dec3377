"""From rows of `price_catalogue` to cards that can be joined to events, and which one counts.

A card is all prices of one model that are in force together, a column each. What a class without
a price costs is decided here, and which names have no card and why; multiplying is
`price.arithmetic`'s.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import polars as pl

from opsmeter_pipeline.model.columns import MONEY

NAMES = ("provider", "model")
"""What a caller names a model by; in events and resolutions alike."""
CLASSES = (
    "uncached_input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "input_audio_cache_read",
    "input_image",
    "input_image_cache_read",
    "output",
    "reasoning",
    "output_audio",
    "web_search",
    "request",
)
"""The classes that an event's counts can be split into; each card has a price column for each."""
PARENTS = MappingProxyType(
    {
        "cache_read": "uncached_input",
        "cache_write": "uncached_input",
        "cache_write_1h": "cache_write",
        "input_image": "uncached_input",
        "reasoning": "output",
    }
)
"""Whose price a class without one takes. Audio has no parent, see ADR 0016."""
UNTOLD = MappingProxyType(
    {
        "input": ("input_video", "audio", "input_audio_time"),
        "output": ("output_image", "output_video", "output_citation", "audio"),
    }
)
"""Classes with a price that are parts of input or output and that the payload cannot tell."""
_REASON_OF_RULE: Mapping[str, str] = MappingProxyType(
    {"ambiguous": "ambiguous_model", "fine_tuned": "fine_tuned_model"}
)
_CONDITIONS = (
    "priority", "valid_from", "valid_to", "window_start", "window_end", "service_tier",
    "environment", "tenant_id",
)  # fmt: skip
_BOUNDS = (*_CONDITIONS[1:5], "environment", "tenant_id", "above_input_tokens")
_MODEL = ("provider_id", "model_id")
ASKS_FOR_TIER = (pl.col("service_tier") != "default").fill_null(value=False)
CHOSEN_BY = (*NAMES, "occurred_at", "input_tokens", "service_tier", "environment", "tenant_id")
"""The columns of an event that its card depends on."""
STEPS = pl.List(pl.Struct({"counted": pl.List(pl.String), "above": pl.Int64, "step_usd": MONEY}))
"""A card's marginal tiers: each unit of these classes beyond `above` costs `step_usd` more."""


def build_cards(catalogue: pl.DataFrame, resolutions: pl.DataFrame) -> pl.DataFrame:
    """Return one row per resolved name and card, and one with a reason per name without a card.

    A name that borrows another provider's price list has its standard cards only: the discounts
    and surcharges of the maker's own service tiers are not the borrower's.

    Args:
        catalogue: rows of `price_catalogue` of the versions in force.
        resolutions: rows of `model_resolutions`.
    """
    names = resolutions.select(*NAMES, "called_provider_id", *_MODEL, "rule")
    is_own = pl.col("called_provider_id") == pl.col("provider_id")
    priced = (
        names.join(widen_cards(catalogue), on=_MODEL)
        .filter(is_own | pl.col("service_tier").is_null())
        .with_columns(pl.lit(None, pl.String).alias("name_reason"))
    )
    unpriced = names.join(priced, on=NAMES, how="anti").with_columns(
        pl.when(pl.col("model_id").is_not_null())
        .then(pl.lit("no_usable_price"))
        .otherwise(pl.col("rule").replace_strict(_REASON_OF_RULE, default="unknown_model"))
        .alias("name_reason")
    )
    return pl.concat([priced, unpriced], how="diagonal").drop("called_provider_id", *_MODEL, "rule")


def widen_cards(catalogue: pl.DataFrame) -> pl.DataFrame:
    """Return a row per card that prices at least one class an event can have."""
    is_marginal = pl.col("tier_scope").eq_missing("marginal")
    rows = catalogue.with_columns(
        (pl.col("tier_threshold_tokens") - pl.col("tier_operator").eq(">=").cast(pl.Int64)).alias(
            "above_input_tokens"
        )
    )
    base = rows.filter(~is_marginal)
    card = ["price_id", *_MODEL, *_CONDITIONS, "above_input_tokens"]
    wide = base.pivot("token_class", index=card, values="price_usd_per_unit")
    wide = _add_absent(wide, (*CLASSES, *UNTOLD["input"], *UNTOLD["output"]))
    wide = wide.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in CLASSES))
    steps = _steps(rows.filter(is_marginal), wide)
    return _fill(wide).join(steps, on="price_id", how="left", maintain_order="left")


def _add_absent(wide: pl.DataFrame, names: tuple[str, ...]) -> pl.DataFrame:
    absent = [name for name in dict.fromkeys(names) if name not in wide.columns]
    return wide.with_columns(pl.lit(None, MONEY).alias(name) for name in absent)


def _fill(wide: pl.DataFrame) -> pl.DataFrame:
    """Return the cards with parents' prices where a class has none, and flags for what is untold.

    One-hour writes take no price from writes that have one: every provider that lists both asks
    1.6 to 2 times as much for them.
    """
    write_1h = pl.when(pl.col("cache_write").is_null()).then("uncached_input")
    priced = {*CLASSES, *UNTOLD["input"], *UNTOLD["output"]}
    return wide.select(
        *(name for name in wide.columns if name not in priced),
        pl.coalesce("cache_write_1h", write_1h).alias("cache_write_1h"),
        pl.col("request").fill_null(0),
        pl.col("input_image").is_not_null().alias("has_image_price"),
        *(
            pl.coalesce(name, PARENTS[name]) if name in PARENTS else pl.col(name)
            for name in CLASSES
            if name not in {"cache_write_1h", "request"}
        ),
        *(
            pl.any_horizontal(pl.col(name).is_not_null() for name in parts).alias(f"untold_{whole}")
            for whole, parts in UNTOLD.items()
        ),
    )


def _steps(marginal: pl.DataFrame, wide: pl.DataFrame) -> pl.DataFrame:
    """Return each card's marginal tiers as what a unit beyond each threshold costs more."""
    steps: dict[str, list[dict[str, object]]] = {}
    before: dict[tuple[str, str], Any] = {}
    prices = {row["price_id"]: row for row in wide.iter_rows(named=True)}
    for row in marginal.sort("price_id", "token_class", "above_input_tokens").iter_rows(named=True):
        place = (row["price_id"], row["token_class"])
        card = prices[row["price_id"]]
        last = before.get(place, card[row["token_class"]])
        price = before[place] = row["price_usd_per_unit"]
        steps.setdefault(row["price_id"], []).append(
            {
                "counted": [name for name in CLASSES if _payer(name, card) == row["token_class"]],
                "above": row["above_input_tokens"],
                "step_usd": None if last is None else price - last,
            }
        )
    schema = {"price_id": pl.String(), "steps": STEPS}
    return pl.DataFrame({"price_id": list(steps), "steps": list(steps.values())}, schema)


def _payer(name: str, card: Mapping[str, object]) -> str:
    """Return the class whose price a class pays in a card."""
    while card[name] is None and name in PARENTS:
        name = PARENTS[name]
    return name


def choose_cards(events: pl.DataFrame, cards: pl.DataFrame) -> pl.Series:
    """Return the place in `cards` of the card that counts for each event; null if none does.

    Most names have one card for all times, sizes and callers and need no choice.
    """
    cards = cards.with_row_index("card").filter(pl.col("name_reason").is_null()).with_columns(
        pl.col(name).cast(events.schema[name]) for name in NAMES
    )  # fmt: skip
    is_default = pl.col("service_tier").is_null()
    is_bounded = pl.any_horizontal(pl.col(bound).is_not_null() for bound in _BOUNDS)
    plain = cards.filter(is_default & (is_default.sum().over(NAMES) == 1) & ~is_bounded)
    chosen = events.select(NAMES).join(
        plain.select(*NAMES, "card"), on=NAMES, how="left", maintain_order="left"
    )["card"]  # fmt: skip
    is_open = chosen.is_null()
    if events["service_tier"].null_count() < events.height:
        is_open |= events.select(ASKS_FOR_TIER).to_series()
    rows = is_open.arg_true()
    if plain.height == cards.height:
        return chosen.set(is_open, None)
    among = _choose_among(events.select(CHOSEN_BY)[rows].with_columns(row=rows), cards)
    return chosen.set(is_open, None).scatter(among["row"], among["card"])


def _choose_among(events: pl.DataFrame, cards: pl.DataFrame) -> pl.DataFrame:
    """Return `row` and `card` of the events for which a card is in force, the one that counts."""
    at, clock = pl.col("occurred_at"), pl.col("occurred_at").dt.time()
    wraps = pl.col("window_start") > pl.col("window_end")
    after, before = clock >= pl.col("window_start"), clock < pl.col("window_end")
    told = pl.col("service_tier").cast(pl.String)
    in_force = (
        (at >= pl.col("valid_from")).fill_null(value=True)
        & (at < pl.col("valid_to")).fill_null(value=True)
        & pl.when(wraps).then(after | before).otherwise(after & before).fill_null(value=True)
        & (pl.col("input_tokens") > pl.col("above_input_tokens")).fill_null(value=True)
        & pl.when(told != "default").then(told).eq_missing(pl.col("service_tier_of_card"))
    )
    for name in ("environment", "tenant_id"):
        is_theirs = pl.col(name).cast(pl.String) == pl.col(f"{name}_of_card")
        in_force &= is_theirs.fill_null(value=True)
    order = ["priority", "tenant_id_of_card", "environment_of_card", "valid_from",
             "above_input_tokens"]  # fmt: skip
    held = cards.lazy().select(
        *NAMES, "card", "priority", "valid_from", "valid_to", "window_start", "window_end",
        "above_input_tokens",
        *(pl.col(name).alias(f"{name}_of_card")
          for name in ("service_tier", "environment", "tenant_id")),
    )  # fmt: skip
    return (
        events.lazy()
        .join(held, on=NAMES)
        .filter(in_force)
        .sort("row", *order, nulls_last=False)
        .unique("row", keep="last", maintain_order=True)
        .select("row", "card")
        .collect()
    )
