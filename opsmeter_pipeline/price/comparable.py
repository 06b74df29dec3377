"""What comparable models charge: the rates between which an unpriced event may cost.

A pool is some models' standard prices together: the models a name may mean, all models of the
providers it may be from, or the whole catalogue. Of a pool only the cheapest and the dearest rate
of each class are kept, for each time and size of request. Which pools an event is held against and
what it then may cost is `price.bounds`' question. The rules are argued in ADR 0020.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.model.clock import FIRST_INSTANT
from opsmeter_pipeline.model.columns import INSTANT, MONEY
from opsmeter_pipeline.price.cards import CLASSES, NAMES, PARENTS, UNTOLD, widen_cards

EVERYBODY = "*"
"""The pool of all models of the catalogue."""
UNTOLD_CLASSES = tuple(dict.fromkeys(name for parts in UNTOLD.values() for name in parts))
RATED = (*CLASSES, *UNTOLD_CLASSES)
_MODEL = ("provider_id", "model_id")
_CALLED = ("rule", "candidates", "comparable_providers", *_MODEL)
_HELD = ("valid_from", "valid_to", "above_input_tokens", "token_class")

POOLED_NAMES: Mapping[str, pl.DataType | type[pl.DataType]] = {
    **dict.fromkeys((*NAMES, "model_pool", "seller_pool"), pl.String),
    **dict.fromkeys(("is_least", "may_be_free", "is_untellable"), pl.Boolean),
}
RATES: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "pool": pl.String,
    "valid_from": INSTANT,
    "is_large": pl.Boolean,
    "large_above": pl.Int64,
    **{f"{end}_{name}": MONEY for name in RATED for end in ("low", "high")},
}


class Comparables(NamedTuple):
    """What unpriced events are held against.

    Attributes:
        names: one row per `provider` and `model`. `model_pool` are the models it may mean, null if
            unknown; `seller_pool` the providers it may be from. `is_least`: the models are the
            least it may cost (a fine-tuned one). `may_be_free`: one of them has no price at all.
            `is_untellable`: one has prices by the hour, page or character only.
        rates: one row per pool, start of a time and size. `is_large` is for requests of more
            input tokens than `large_above`, null where size does not matter. `low_...` and
            `high_...` are the cheapest and the dearest rate of a class, null if nobody has one.
    """

    names: pl.DataFrame
    rates: pl.DataFrame


NOTHING_COMPARABLE = Comparables(pl.DataFrame(schema=POOLED_NAMES), pl.DataFrame(schema=RATES))


def build_comparables(
    listed: pl.DataFrame, own: pl.DataFrame, resolutions: pl.DataFrame
) -> Comparables:
    """Return the pools of these names, with their rates.

    Args:
        listed: all rows of `price_catalogue` from the package; those of service tiers are ignored.
        own: the same from the user's file. They count for the models they name and for no others:
            a contract says nothing about what somebody else pays.
        resolutions: rows of `model_resolutions`, one per name.
    """
    of_list, of_own = _spread(listed), _spread(own)
    both = pl.concat([of_list, of_own])
    places = {*listed.select(_MODEL).iter_rows(), *own.select(_MODEL).iter_rows()}
    usable = {*both.filter(pl.col("token_class").is_in(CLASSES)).select(_MODEL).iter_rows()}
    rows = [
        (*name, *_pool_name(called, places=places, usable=usable))
        for *name, called in _each(resolutions)
    ]
    names = pl.DataFrame(rows, schema=dict(POOLED_NAMES), orient="row")
    models = _members(names["model_pool"], columns=_MODEL)
    sellers = _members(names["seller_pool"], columns=_MODEL[:1])
    pooled = [
        both.join(models, on=_MODEL),
        of_list.join(sellers, on="provider_id"),
        of_list.with_columns(pl.lit(EVERYBODY).alias("pool")),
    ]
    shown = ["pool", *_HELD, "price_usd"]
    return Comparables(names, _rate(pl.concat([one.select(shown) for one in pooled])))


def _each(resolutions: pl.DataFrame) -> Iterator[tuple[str, str, dict[str, str | None]]]:
    for row in resolutions.select(*NAMES, *_CALLED).iter_rows():
        yield row[0], row[1], dict(zip(_CALLED, row[2:], strict=True))


def _pool_name(
    called: Mapping[str, str | None],
    *,
    places: set[tuple[str, str]],
    usable: set[tuple[str, str]],
) -> tuple[str | None, str, bool, bool, bool]:
    """Return a name's `model_pool` and the columns after it."""
    known = called["model_id"] is not None
    pool = f"{called['provider_id']}/{called['model_id']}" if known else called["candidates"]
    without = {place for place in _places(pool) if place not in usable}
    return (
        pool,
        called["comparable_providers"] or EVERYBODY,
        called["rule"] == "fine_tuned" and pool is not None,
        bool(without - places),
        bool(without & places),
    )


def _places(pool: str | None) -> list[tuple[str, str]]:
    """Return the providers and models of a model pool."""
    places = (place.partition("/") for place in pool.split(", ")) if pool else ()
    return [(provider, model) for provider, _, model in places]


def _members(pools: pl.Series, *, columns: tuple[str, ...]) -> pl.DataFrame:
    """Return a row per pool and member."""
    rows = [
        (pool, *place[: len(columns)])
        for pool in pools.drop_nulls().unique(maintain_order=True)
        for place in _places(pool)
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("pool", *columns), pl.String), orient="row")


def _spread(catalogue: pl.DataFrame) -> pl.DataFrame:
    """Return a row per standard card and class: its price, the parent's where it has none.

    A marginal tier's price is one more of its class and of those that may pay as it does. Prices by
    the hour stay among the classes that no count tells.
    """
    standard = catalogue.filter(pl.col("service_tier").is_null())
    kept = [*_MODEL, *_HELD[:3]]
    cards = widen_cards(standard).unpivot(CLASSES, index=kept, variable_name="token_class",
                                          value_name="price_usd")  # fmt: skip
    aside = standard.select(
        *_MODEL, *_HELD[:2], pl.lit(None, pl.Int64).alias("above_input_tokens"), "token_class",
        pl.col("price_usd_per_unit").alias("price_usd"), "tier_scope",
    )  # fmt: skip
    untold = aside.filter(pl.col("token_class").is_in(UNTOLD_CLASSES))
    steps = aside.filter(pl.col("tier_scope") == "marginal").with_columns(
        pl.col("token_class").replace_strict(
            {name: _payers(name) for name in CLASSES}, default=[], return_dtype=pl.List(pl.String)
        )
    )
    parts = (cards, untold, steps.explode("token_class").drop_nulls("token_class"))
    shown = [*_MODEL, *_HELD, "price_usd"]
    return pl.concat([part.select(shown) for part in parts]).drop_nulls("price_usd")


def _payers(token_class: str) -> list[str]:
    """Return a class and those that may pay its price."""
    below = [_payers(name) for name, parent in PARENTS.items() if parent == token_class]
    return [token_class, *(name for names in below for name in names)]


def _rate(pooled: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `RATES`; a class that has no price at a time has those of all times."""
    held = pooled.group_by("pool", *_HELD).agg(
        pl.col("price_usd").min().alias("low"), pl.col("price_usd").max().alias("high")
    )
    first = pl.lit(FIRST_INSTANT, INSTANT)
    begun = pl.col("valid_from").fill_null(first)
    starts = pl.concat([
        held.select("pool", begun.alias("at")),
        held.select("pool", pl.col("valid_to").alias("at")),
        held.select("pool", first.alias("at")),
    ]).drop_nulls("at").unique()  # fmt: skip
    sizes = pl.DataFrame({"is_large": [False, True]})
    is_held = (begun <= pl.col("at")) & (pl.col("at") < pl.col("valid_to")).fill_null(value=True)
    then = starts.join(held, on="pool").filter(is_held).join(sizes, how="cross")
    fits = pl.col("is_large") | pl.col("above_input_tokens").is_null()
    keys = ["pool", "valid_from", "is_large"]
    timed = then.filter(fits).with_columns(pl.col("at").alias("valid_from"))
    wide = _pivot(timed, keys)
    ever = _pivot(held, ["pool"]).rename(lambda name: name if name == "pool" else f"ever_{name}")
    limits = held.group_by("pool").agg(pl.col("above_input_tokens").min().alias("large_above"))
    every = starts.rename({"at": "valid_from"}).join(sizes, how="cross")
    rates = every.join(wide, on=keys, how="left").join(ever, on="pool").join(limits, on="pool")
    filled = (pl.coalesce(name, f"ever_{name}") for name in RATES if name.startswith(_ENDS))
    return rates.with_columns(filled).select(list(RATES)).sort("valid_from", "pool", "is_large")


_ENDS = ("low_", "high_")


def _pivot(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return one row per key with a column for each end of each class."""
    of_class = pl.col("token_class")
    return rows.group_by(keys).agg(
        *(pl.col("low").filter(of_class == name).min().alias(f"low_{name}") for name in RATED),
        *(pl.col("high").filter(of_class == name).max().alias(f"high_{name}") for name in RATED),
    )
