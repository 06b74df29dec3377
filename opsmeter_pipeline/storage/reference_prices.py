"""The prices at which the drivers stage weighs tokens, the same before and after.

They are those of the versions that price now, joined and chosen by the functions that price
events. So own prices stand over the package's, each model has one card, and what was superseded
or waits counts nothing. What the weights are for is told in docs/why.md.
"""

import polars as pl

from opsmeter_pipeline.drivers.windows import Comparison
from opsmeter_pipeline.model.clock import FIRST_INSTANT
from opsmeter_pipeline.model.columns import MONEY
from opsmeter_pipeline.model.tables import EVENTS
from opsmeter_pipeline.price.cards import NAMES, choose_cards
from opsmeter_pipeline.price.in_force import join_cards
from opsmeter_pipeline.price.own_rows import OWN_SOURCE
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_log import read_log
from opsmeter_pipeline.storage.price_versions import PACKAGE, read_version

_CLASSES = ("uncached_input", "cache_read", "cache_write", "output")
_SCHEMA = {**dict.fromkeys((*NAMES, "token_class"), pl.String()), "price_usd_per_unit": MONEY}
_ANY_TENANT = "(any)"
"""A tenant that no price names: a shared weight is nobody's own rate."""


def read_reference_prices(
    lake: Lake, book: PriceBook, names: pl.DataFrame, *, comparison: Comparison
) -> pl.DataFrame:
    """Return `provider`, `model`, `token_class` and the price of a token; none where there is none.

    The price is that of a small standard request, made when the previous window began.

    Args:
        lake: the warehouse.
        book: the installed package, asked for names that are new to the version in force.
        names: `provider` and `model` as callers send them, each pair once.
        comparison: the windows, and the environment.
    """
    if names.is_empty():
        return pl.DataFrame(schema=_SCHEMA)
    log = read_log(lake)
    package, own = (read_version(lake, one, log.in_force(one)) for one in (PACKAGE, OWN_SOURCE))
    matched = own.match(names, lambda asked: package.answer(book, asked, now=FIRST_INSTANT))
    cards = join_cards(package.prices, matched.answers, own.prices, matched.own)
    asked = names.select(
        *NAMES,
        pl.lit(comparison.previous_start_at, EVENTS.schema["occurred_at"]).alias("occurred_at"),
        pl.lit(1, pl.Int64).alias("input_tokens"),
        pl.lit(None, pl.String).alias("service_tier"),
        pl.lit(comparison.environment).alias("environment"),
        pl.lit(_ANY_TENANT).alias("tenant_id"),
    )
    chosen = cards.select(_CLASSES)[choose_cards(asked, cards)]
    prices = asked.select(NAMES).hstack(chosen).unpivot(
        list(_CLASSES), index=[*NAMES], variable_name="token_class", value_name="price_usd_per_unit"
    )  # fmt: skip
    return prices.drop_nulls().sort(*NAMES, "token_class")
