"""Prices in the warehouse: what each name that callers use was resolved to, and what it costs.

A name is resolved once per version of a source, so the source is not even opened in most runs.
Which version prices is decided in `storage.price_versions`; what it said of a name counts as long
as it prices, whatever is installed meanwhile.
"""

from datetime import datetime
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.model.tables import MODEL_RESOLUTIONS, PRICE_CATALOGUE
from opsmeter_pipeline.price import Comparables, build_comparables
from opsmeter_pipeline.price.in_force import join_cards
from opsmeter_pipeline.price.own_names import OWN_RULES
from opsmeter_pipeline.price.own_rows import OWN_SOURCE
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_log import PriceLog
from opsmeter_pipeline.storage.price_versions import PACKAGE, read_version
from opsmeter_pipeline.storage.publisher import append_new
from opsmeter_pipeline.storage.staging import Staging

_PAIR = ["provider", "model"]


class NamedCards(NamedTuple):
    """The cards of a run's names.

    Attributes:
        cards: see `price.build_cards`.
        comparables: see `price.build_comparables`.
        answers: the catalogue's answer for each name: rows of `model_resolutions`.
        unknown_names: how many names have neither a price of the catalogue nor an own one.
    """

    cards: pl.DataFrame
    comparables: Comparables
    answers: pl.DataFrame
    unknown_names: int


def find_cards(
    lake: Lake,
    book: PriceBook,
    log: PriceLog,
    staging: Staging,
    *,
    names: pl.DataFrame,
    now: datetime,
) -> NamedCards:
    """Return the cards of these names by the versions in force; names new to them are kept.

    Args:
        lake: the warehouse.
        book: the installed package, which knows how names are spelled.
        log: which versions price.
        staging: where rows are put on their way.
        names: `provider` and `model` as callers send them, each pair once.
        now: when (UTC).
    """
    own = read_version(lake, OWN_SOURCE, log.in_force(OWN_SOURCE))
    package = log.in_force(PACKAGE) or ""
    matched = own.match(
        names,
        lambda asked: resolve_names(lake, book, staging, names=asked, in_force=package, now=now),
    )
    _keep(lake, staging, matched.own)
    prices = read_prices(lake, package)
    known = matched.own.filter(pl.col("rule").is_in(OWN_RULES))
    unknown = matched.answers.filter(pl.col("model_id").is_null()).join(known, on=_PAIR, how="anti")
    meant = prices.filter(pl.col("model_id").is_in(matched.answers["model_id"].implode()))
    cards = join_cards(meant, matched.answers, own.prices, matched.own)
    told = pl.concat([known, matched.answers.join(known, on=_PAIR, how="anti")])
    comparables = build_comparables(prices, own.prices, told)
    return NamedCards(cards, comparables, matched.answers, unknown.height)


def resolve_names(
    lake: Lake,
    book: PriceBook,
    staging: Staging,
    *,
    names: pl.DataFrame,
    in_force: str,
    now: datetime,
) -> pl.DataFrame:
    """Return the resolution of each `provider` and `model`; new ones are asked and kept.

    The answer of the version in force counts. The installed one, which may wait for a person, is
    asked for names that are new to it; what only that has a name for is unpriced as long.
    """
    sql = """
        SELECT * FROM model_resolutions WHERE source_version IN ($1, $2)
        QUALIFY row_number() OVER (PARTITION BY provider, model ORDER BY source_version <> $1) = 1
    """
    known = MODEL_RESOLUTIONS.arrange(lake.read(sql, [in_force, book.version]))
    new = book.resolve(names.join(known, on=_PAIR, how="anti").sort(_PAIR).iter_rows(), now=now)
    _keep(lake, staging, new)
    return pl.concat([known, new]).join(names, on=_PAIR, how="semi")


def _keep(lake: Lake, staging: Staging, resolutions: pl.DataFrame) -> None:
    if not resolutions.is_empty():
        path = staging.write("model_resolutions", resolutions)
        append_new(lake, MODEL_RESOLUTIONS, path, key=[*_PAIR, "source_version"])


def read_prices(lake: Lake, version: str) -> pl.DataFrame:
    """Return the package's rows of `price_catalogue`: all, since any may bound what is unpriced."""
    sql = "SELECT * FROM price_catalogue WHERE source = ? AND source_version = ?"
    return PRICE_CATALOGUE.arrange(lake.read(sql, [PACKAGE, version]))
