"""Loads new versions of price sources, and decides whether they price or wait for a person.

A version is loaded once and stays. It prices at once if it moves no price by 50 % or more, or to or
from zero, and takes none away; else it waits for `opsmeter prices accept` (ADR 0015). The very
first load of a home has nothing before it and needs no acceptance.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.model.clock import FIRST_INSTANT
from opsmeter_pipeline.model.tables import MODEL_RESOLUTIONS, PRICE_ALIASES, PRICE_CATALOGUE
from opsmeter_pipeline.price.cards import NAMES
from opsmeter_pipeline.price.in_force import join_cards
from opsmeter_pipeline.price.moves import find_moves
from opsmeter_pipeline.price.own_names import Matched, Name, match_names, resolve_own
from opsmeter_pipeline.price.own_rows import OWN_SOURCE, to_alias_rows, to_catalogue_rows
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.own_book import OwnBook
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_log import (
    TAKEN,
    WAITS,
    Decision,
    PriceLog,
    append_decisions,
    read_log,
)
from opsmeter_pipeline.storage.publisher import append_new
from opsmeter_pipeline.storage.staging import Staging

PACKAGE = "genai-prices"
_FIRST = "the first prices of this home"
_WITHIN = "no price moves by 50 % or more"
_BEYOND = "prices move by 50 % or more"
_VERSION = ("source", "source_version")
_MEANT = ("called_provider_id", "provider_id", "model_id")


class Listed(NamedTuple):
    """The prices of one version of one source.

    Attributes:
        version: which.
        prices: its rows of `price_catalogue`.
        aliases: what each alias means; the package has none.
        answers: what names of callers were resolved to by it: rows of `model_resolutions`.
    """

    version: str
    prices: pl.DataFrame
    aliases: dict[Name, Name]
    answers: pl.DataFrame

    @property
    def names(self) -> set[Name]:
        """The providers and models it prices."""
        return set(self.prices.select("provider_id", "model_id").iter_rows())

    def match(self, names: pl.DataFrame, ask: Callable[[pl.DataFrame], pl.DataFrame]) -> Matched:
        """Return what names are matched to where this is the user's file; see `match_names`."""
        return match_names(names, ask, own=self.names, aliases=self.aliases, version=self.version)

    def answer(self, book: PriceBook, names: pl.DataFrame, *, now: datetime) -> pl.DataFrame:
        """Return the resolution of names: by this version where it was asked, else by the book."""
        known = self.answers.join(names, on=NAMES, how="semi")
        new = names.select(NAMES).join(known, on=NAMES, how="anti")
        return pl.concat([known, book.resolve(new.iter_rows(), now=now)])


NO_PRICES = Listed("", PRICE_CATALOGUE.empty(), {}, MODEL_RESOLUTIONS.empty())


class Sources(NamedTuple):
    """Where prices come from now: the installed package and the user's file."""

    book: PriceBook
    own: OwnBook


def settle_prices(
    lake: Lake, sources: Sources, staging: Staging, *, by: str, now: datetime
) -> PriceLog:
    """Load what is new of the sources, decide on it, and return the log.

    The package is decided on before the user's file. A file that never had an entry is not logged.

    Args:
        lake: the warehouse.
        sources: what is installed and what the file says now.
        staging: where rows are put on their way.
        by: the run that decides.
        now: when (UTC).

    Raises:
        PricesOvertakenError: another run decided otherwise at the same time; run again.
    """
    log, decisions = read_log(lake), list[Decision]()
    is_first = log.rows.is_empty()

    def decide(source: str, version: str, moves: int) -> None:
        reason = _FIRST if is_first else _BEYOND if moves else _WITHIN
        decision = WAITS if moves else TAKEN
        decisions.append(Decision(source, version, decision, reason, moves, by, now))

    if log.last(PACKAGE) != sources.book.version:
        new = _load_package(lake, sources.book, staging, now=now)
        former, own = (read_version(lake, s, log.in_force(s)) for s in (PACKAGE, OWN_SOURCE))
        decide(
            PACKAGE,
            new.version,
            0 if is_first else compare_packages(sources.book, former, new, own).height,
        )
    known = log.last(OWN_SOURCE)
    if known != sources.own.version and (known or sources.own.entries.has_any):
        new = _load_own(lake, sources.own, staging, now=now)
        former = read_version(lake, OWN_SOURCE, log.in_force(OWN_SOURCE))
        package = read_version(lake, PACKAGE, log.having(decisions).in_force(PACKAGE))
        moves = 0 if is_first else compare_own(sources.book, package, former, new).height
        decide(OWN_SOURCE, new.version, moves)
    return append_decisions(lake, log, decisions)


def read_version(lake: Lake, source: str, version: str | None) -> Listed:
    """Return the prices of one loaded version; of None, no prices."""
    if version is None:
        return NO_PRICES
    sql = "SELECT * FROM price_catalogue WHERE source = ? AND source_version = ?"
    prices = PRICE_CATALOGUE.arrange(lake.read(sql, [source, version]))
    told = lake.read("SELECT * FROM model_resolutions WHERE source_version = ?", [version])
    answers = MODEL_RESOLUTIONS.arrange(told)
    if source == PACKAGE:
        return Listed(version, prices, {}, answers)
    aliases = lake.read("SELECT * FROM price_aliases WHERE source_version = ?", [version])
    return Listed(version, prices, _by_name(aliases), answers)


def _by_name(aliases: pl.DataFrame) -> dict[Name, Name]:
    columns = ("provider_id", "name", "means_provider_id", "means_model_id")
    return {row[:2]: row[2:] for row in aliases.select(columns).iter_rows()}


def list_own(own: OwnBook, *, now: datetime) -> Listed:
    """Return the prices of the file as it is now."""
    rows = to_catalogue_rows(own.entries, version=own.version, sha256=own.sha256, loaded_at=now)
    aliases = {alias.name: alias.means for alias in own.entries.aliases}
    return Listed(own.version, rows, aliases, MODEL_RESOLUTIONS.empty())


def list_package(book: PriceBook, *, now: datetime) -> Listed:
    """Return the prices of the installed package."""
    return Listed(book.version, book.catalogue(now=now), {}, MODEL_RESOLUTIONS.empty())


def find_unknown_aliases(book: PriceBook, own: OwnBook, *, now: datetime) -> list[str]:
    """Return what is wrong with each alias that means a model nobody has a price for."""
    priced = {price.name for price in own.entries.prices}
    aliases = [alias for alias in own.entries.aliases if alias.means not in priced]
    if not aliases:
        return []
    told = book.resolve([alias.means for alias in aliases], now=now)
    return [
        f"{alias.label} ({' '.join(alias.name)}): nobody has a price for what it means, "
        f"{' '.join(alias.means)}; correct the name or add a [[price]] for it"
        for alias, model_id in zip(aliases, told["model_id"], strict=True)
        if model_id is None
    ]


def _load_package(lake: Lake, book: PriceBook, staging: Staging, *, now: datetime) -> Listed:
    listed = list_package(book, now=now)
    path = staging.write("price_catalogue", listed.prices)
    append_new(lake, PRICE_CATALOGUE, path, key=_VERSION)
    return listed


def _load_own(lake: Lake, own: OwnBook, staging: Staging, *, now: datetime) -> Listed:
    listed = list_own(own, now=now)
    append_new(lake, PRICE_CATALOGUE, staging.write("own_prices", listed.prices), key=_VERSION)
    aliases = to_alias_rows(own.entries, version=own.version, loaded_at=now)
    append_new(lake, PRICE_ALIASES, staging.write("aliases", aliases), key=["source_version"])
    return listed


def find_moves_of(lake: Lake, book: PriceBook, log: PriceLog, waiting: Decision) -> pl.DataFrame:
    """Return how a version that waits would move the prices in force; see `find_moves`."""
    package, own = (read_version(lake, one, log.in_force(one)) for one in (PACKAGE, OWN_SOURCE))
    new = read_version(lake, waiting.source, waiting.source_version)
    if waiting.source == PACKAGE:
        return compare_packages(book, package, new, own)
    return compare_own(book, package, own, new)


def compare_packages(book: PriceBook, former: Listed, new: Listed, own: Listed) -> pl.DataFrame:
    """Return how a new package moves prices, where the user's own do not stand over them.

    Asked for each model by its own name, and for each name of callers whose price may move apart
    from its model's: it means another model by the new package, or borrows another's price list.
    """
    ids = _own_answers(former.names | new.names)
    mine = resolve_own(ids, own=own.names, aliases={}, version=own.version)
    by_id = find_moves(*(join_cards(one.prices, ids, own.prices, mine) for one in (former, new)))
    then = book.resolve(former.answers.select(NAMES).iter_rows(), now=FIRST_INSTANT)
    same = former.answers.join(then, on=[*NAMES, *_MEANT], how="semi", nulls_equal=True)
    lends = pl.col("called_provider_id").eq_missing(pl.col("provider_id"))
    names = former.answers.join(same.filter(lends), on=NAMES, how="anti").select(NAMES)
    by_name = find_moves(
        _price_names(names, former, own, former.answers), _price_names(names, new, own, then)
    )
    return pl.concat([by_id, by_name]).unique(maintain_order=True)


def _price_names(
    names: pl.DataFrame, package: Listed, own: Listed, answers: pl.DataFrame
) -> pl.DataFrame:
    """Return the cards of callers' names by one version of the package and what it answers."""
    matched = own.match(names, lambda asked: answers.join(asked, on=NAMES, how="semi"))
    return join_cards(package.prices, matched.answers, own.prices, matched.own)


def compare_own(book: PriceBook, package: Listed, former: Listed, new: Listed) -> pl.DataFrame:
    """Return how a new file of the user's moves prices, the package's being what it stands over."""
    names = {*former.names, *new.names, *former.aliases, *new.aliases}
    return find_moves(*(cards_of(names, book, package, one) for one in (former, new)))


def cards_of(names: set[Name], book: PriceBook, package: Listed, own: Listed) -> pl.DataFrame:
    """Return the cards of these names by one version of the package and one of the file."""
    frame = pl.DataFrame(sorted(names), schema=dict.fromkeys(NAMES, pl.String), orient="row")
    matched = own.match(frame, lambda asked: package.answer(book, asked, now=FIRST_INSTANT))
    return join_cards(package.prices, matched.answers, own.prices, matched.own)


def _own_answers(names: set[Name]) -> pl.DataFrame:
    """Return resolutions by which each of the catalogue's models is called by its own name."""
    rows = [
        {"provider": p, "model": m, "called_provider_id": p, "provider_id": p, "model_id": m}
        for p, m in sorted(names)
    ]
    return pl.DataFrame(rows, schema=MODEL_RESOLUTIONS.schema)
