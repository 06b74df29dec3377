"""Tokens times prices, in exact decimals.

An event's counts overlap; `price.lattice` splits them into classes that do not. Prices per unit
are exact with 18 decimals, so nothing is divided and nothing is rounded. What has no price costs
null and says why. Which card counts is `price.cards`' question.
"""

from functools import reduce
from operator import add

import polars as pl

from opsmeter_pipeline.model.columns import MONEY
from opsmeter_pipeline.price.bounds import BOUNDS, bound_events
from opsmeter_pipeline.price.cards import (
    ASKS_FOR_TIER,
    CHOSEN_BY,
    CLASSES,
    NAMES,
    choose_cards,
)
from opsmeter_pipeline.price.comparable import Comparables
from opsmeter_pipeline.price.lattice import FLAGS, PARTS, Split, split_counts, times

_WHOLES = ("input_tokens", "output_tokens")
READS = (*dict.fromkeys((*CHOSEN_BY, *_WHOLES, *PARTS)),)
"""The columns of an event that its price depends on."""


def price_events(
    events: pl.DataFrame, cards: pl.DataFrame, *, comparables: Comparables
) -> pl.DataFrame:
    """Return the events with what they cost, in their order.

    Adds `cost_usd`, `price_id`, `unpriced_reason`, `unpriced_low_usd` and `unpriced_high_usd`.
    `cost_usd` and `price_id` are null where and only where `unpriced_reason` is not; the reasons
    are listed in docs/prices.md. The bounds are null for what is priced, and for what nothing
    compares with.

    Args:
        events: staged events, at least the columns `READS`.
        cards: what `build_cards` returned.
        comparables: what `build_comparables` returned for the same names.
    """
    chosen = choose_cards(events, cards)
    split = split_counts({name for name in PARTS if events[name].null_count() < events.height})
    # A fee per request is rare: where no card has one, nothing is added for it.
    used = [name for name in split.units if name != "request" or (cards["request"] != 0).any()]
    counted = events.select(*_WHOLES, *split.told).hstack(cards.select(*FLAGS, *used)[chosen])
    costs = counted.select(
        reduce(add, (times(split.units[name], pl.col(name)) for name in used)).alias("cost_usd"),
        *(doubt.fill_null(value=False).alias(reason) for reason, doubt in split.doubts.items()),
    )
    costs = _add_steps(costs, counted, cards=cards, chosen=chosen, split=split)
    told = _tell(events, cards, chosen=chosen, costs=costs)
    return events.hstack(told).hstack(
        _bound_unpriced(events, cards, chosen=chosen, told=told, comparables=comparables)
    )


def _bound_unpriced(
    events: pl.DataFrame,
    cards: pl.DataFrame,
    *,
    chosen: pl.Series,
    told: pl.DataFrame,
    comparables: Comparables,
) -> pl.DataFrame:
    """Return the bounds of all events: those without a price are looked at, the others are null."""
    rows = told["cost_usd"].is_null().arg_true()
    none = pl.Series([None], dtype=MONEY).new_from_index(0, events.height)
    if rows.is_empty():
        return pl.DataFrame(dict.fromkeys(BOUNDS, none))
    found = bound_events(events[rows], cards, chosen=chosen[rows], comparables=comparables)
    # `scatter` writes into the series it is asked of.
    return pl.DataFrame({name: none.clone().scatter(rows, found[name]) for name in BOUNDS})


def _tell(
    events: pl.DataFrame, cards: pl.DataFrame, *, chosen: pl.Series, costs: pl.DataFrame
) -> pl.DataFrame:
    """Return cost and price, or null and the first reason why not.

    `costs` has `cost_usd`, then a column of true or false per doubt, named by its reason.
    """
    doubts = costs.columns[1:]
    is_unpriced = (
        chosen.is_null()
        | costs.select(pl.any_horizontal(pl.col("cost_usd").is_null(), *doubts)).to_series()
    )
    rows = is_unpriced.arg_true()
    doubted = pl.coalesce(
        *(pl.when(why).then(pl.lit(why)) for why in doubts), pl.lit("no_token_price")
    )
    missing = _missing_reasons(events[rows], cards, chosen[rows])
    reasons = costs[rows].select(pl.coalesce(missing, doubted)).to_series()
    none = pl.Series([None], dtype=pl.String).new_from_index(0, events.height)
    price_ids = cards["price_id"].cast(pl.Categorical)
    return pl.DataFrame(
        {
            "cost_usd": costs["cost_usd"].zip_with(~is_unpriced, pl.Series([None], dtype=MONEY)),
            "price_id": price_ids[chosen.set(is_unpriced, None)],
            "unpriced_reason": none.scatter(rows, reasons).cast(pl.Categorical),
        }
    )


def _missing_reasons(events: pl.DataFrame, cards: pl.DataFrame, chosen: pl.Series) -> pl.Series:
    """Return why no card counts for each event; null where one does."""
    names = [pl.col(name).cast(pl.String) for name in NAMES]
    known = cards.group_by(names).agg(
        pl.col("name_reason").drop_nulls().first(), pl.lit(value=True).alias("is_known")
    )
    told = events.select(*names, ASKS_FOR_TIER.alias("asks"), chosen.is_null().alias("is_missing"))
    return told.join(known, on=NAMES, how="left", maintain_order="left").select(
        pl.when(~pl.col("is_missing")).then(None)
        .when(pl.col("is_known").is_null()).then(pl.lit("unknown_model"))
        .when(pl.col("name_reason").is_not_null()).then("name_reason")
        .when("asks").then(pl.lit("service_tier"))
        .otherwise(pl.lit("no_price_then")).alias("reason")
    ).to_series()  # fmt: skip


def _add_steps(
    costs: pl.DataFrame,
    counted: pl.DataFrame,
    *,
    cards: pl.DataFrame,
    chosen: pl.Series,
    split: Split,
) -> pl.DataFrame:
    """Return the costs with what marginal tiers add; cards with such tiers are rare.

    Each unit beyond a threshold costs the step between its tier's price and the one below.
    """
    if cards["steps"].null_count() == cards.height:
        return costs
    units = [split.units.get(name, pl.lit(0, pl.Int64)).alias(f"units_{name}") for name in CLASSES]
    several = (
        counted.select(units)
        .with_row_index("row")
        .hstack(cards.select("steps")[chosen])
        .drop_nulls("steps")
        .explode("steps")
        .unnest("steps")
    )
    counts = (
        pl.when(pl.col("counted").list.contains(name)).then(f"units_{name}").otherwise(0)
        for name in CLASSES
    )
    beyond = (pl.sum_horizontal(counts) - pl.col("above")).clip(0)
    steps = several.select("row", times(beyond, pl.col("step_usd")).alias("step_usd"))
    added = steps.group_by("row", maintain_order=True).agg(pl.col("step_usd").sum())
    rows, cost = added["row"], costs["cost_usd"]
    return costs.with_columns(cost.scatter(rows, cost[rows] + added["step_usd"]))
