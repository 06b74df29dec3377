"""Why a request costs what it costs: the card that counts, its rows, and whose word they are.

Asks the functions that price events for one made-up request. Nothing is written; before the first
run the installed package and the user's file answer by themselves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import polars as pl

from opsmeter_pipeline.model.tables import EVENTS, PRICE_CATALOGUE, PRICED
from opsmeter_pipeline.price import NAMES, NOTHING_COMPARABLE, price_events
from opsmeter_pipeline.price.cards import CLASSES, choose_cards
from opsmeter_pipeline.price.in_force import join_cards
from opsmeter_pipeline.price.own_names import key_of, name_meant
from opsmeter_pipeline.price.own_rows import OWN_SOURCE
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.price_log import WAITS, PriceLog
from opsmeter_pipeline.storage.price_versions import (
    PACKAGE,
    Listed,
    Sources,
    list_own,
    list_package,
    read_version,
)

_SHOWN = (
    "price_id", "source", "source_version", "loaded_at", "provider_id", "model_id", "token_class",
    "unit", "price_usd_per_unit", "priority", "valid_from", "valid_to", "window_start",
    "window_end", "tier_threshold_tokens", "tier_operator", "tier_scope", "service_tier",
    "environment", "tenant_id",
)  # fmt: skip
_PER_MILLION = 1_000_000


@dataclass(frozen=True)
class Request:
    """The request whose price is explained.

    Attributes:
        provider: as a caller names it.
        model: as a caller names it.
        at: when it is made (UTC).
        service_tier: default, batch, flex, priority or fast.
        environment: prod, staging or dev.
        tenant_id: as events hold it.
        input_tokens: its size, which decides the tier.
    """

    provider: str
    model: str
    at: datetime
    service_tier: str
    environment: str
    tenant_id: str
    input_tokens: int


@dataclass(frozen=True)
class PricesKnown:
    """The price lists that answer.

    Attributes:
        log: the decisions known at the time asked about.
        package: the package's prices in force.
        own: the user's own prices in force.
    """

    log: PriceLog
    package: Listed
    own: Listed


def find_known(lake: Lake, log: PriceLog, sources: Sources, *, now: datetime) -> PricesKnown:
    """Return the lists in force by a log; where it has none, what is installed now."""
    if log.in_force(PACKAGE) is None:
        package = list_package(sources.book, now=now)
        return PricesKnown(log, package, list_own(sources.own, now=now))
    package, own = (read_version(lake, one, log.in_force(one)) for one in (PACKAGE, OWN_SOURCE))
    return PricesKnown(log, package, own)


def find_providers(
    lake: Lake, book: PriceBook, known: PricesKnown, *, model: str, now: datetime
) -> list[str]:
    """Return the providers that have a model: as callers named them, else as the lists do."""
    sql = "SELECT DISTINCT provider FROM model_resolutions WHERE lower(trim(model)) = ? ORDER BY 1"
    called = lake.read(sql, [model.strip().lower()])["provider"].to_list() if lake.exists else []
    if called:
        return called
    names = {*known.own.names, *known.own.aliases}
    own = {name[0] for name in names if name == key_of((name[0], model))}
    listed = sorted(set(known.package.prices["provider_id"]))
    told = book.resolve([(provider, model) for provider in listed], now=now)
    # A provider that borrows another's price list is named by --provider only.
    makers = told.filter(pl.col("provider") == pl.col("provider_id"))["provider"]
    return sorted({*own, *makers})


def explain_price(request: Request, sources: Sources, known: PricesKnown) -> dict[str, object]:
    """Return what one unit of each class of a request costs, by which rows, and why these.

    `charges` is empty and `unpriced_reason` says why if the request has no price.
    """
    own, name = known.own, (request.provider, request.model)
    frame = pl.DataFrame([name], schema=dict.fromkeys(NAMES, pl.String), orient="row")
    answers, mine = own.match(
        frame, lambda asked: known.package.answer(sources.book, asked, now=request.at)
    )
    cards = join_cards(known.package.prices, answers, own.prices, mine)
    event = _event_of(request)
    chosen = cards[choose_cards(event, cards)].row(0, named=True)
    cost = price_events(event, cards, comparables=NOTHING_COMPARABLE).row(0, named=True)
    rows = pl.concat([known.package.prices, own.prices]).filter(
        pl.col("price_id") == (chosen["price_id"] or "")
    )
    resolved = (mine if _is_own(rows) else answers).row(0, named=True)
    return {
        **asdict(request),
        "means": " ".join(name_meant(name, own.aliases)) if key_of(name) in own.aliases else None,
        "provider_id": resolved["provider_id"],
        "model_id": resolved["model_id"],
        "matched_by": resolved["rule"],
        "unpriced_reason": None if chosen["price_id"] else cost["unpriced_reason"],
        "price_id": chosen["price_id"],
        **_origin(rows, known.log),
        "charges": [*_charges(chosen, rows)] if chosen["price_id"] else [],
        "rows": rows.select(_SHOWN).to_dicts(),
        "other_rows": _others(rows, known, answers, mine),
    }


def _event_of(request: Request) -> pl.DataFrame:
    told = asdict(request) | {"occurred_at": request.at, "output_tokens": 0, "seq": 0}
    columns = {"seq": pl.Int64()} | EVENTS.schema
    row = {name: told.get(name) for name in columns}
    return pl.DataFrame([row], schema=columns).drop(PRICED)


def _is_own(rows: pl.DataFrame) -> bool:
    return OWN_SOURCE in rows["source"]


def _origin(rows: pl.DataFrame, log: PriceLog) -> dict[str, Any]:
    """Return whose prices the rows are, and the decision by which they are in force."""
    if rows.is_empty():
        return dict.fromkeys(("source", "source_version", "source_sha256", "loaded_at",
                              "in_force_since", "in_force_by"))  # fmt: skip
    first = rows.row(0, named=True)
    names = ("source", "source_version", "source_sha256", "loaded_at")
    decided = log.rows.filter(
        pl.col("source") == first["source"],
        pl.col("source_version") == first["source_version"],
        pl.col("decision") != WAITS,
    )
    last = decided.row(-1, named=True) if decided.height else {}
    why = f"{last['decision']}: {last['reason']}" if last else "not loaded yet"
    since = last.get("decided_at")
    return {**{name: first[name] for name in names}, "in_force_since": since, "in_force_by": why}


def _charges(card: Mapping[str, Any], rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield what a unit of each class costs; a class without a row costs what its parent does."""
    units = dict(rows.select("token_class", "unit").iter_rows())
    for name in CLASSES:
        usd = card[name]
        if usd is None or (name == "request" and name not in units):
            continue
        unit = units.get(name, "token")
        yield {
            "token_class": name,
            "unit": unit,
            "usd_per_unit": usd,
            "usd_per_mtok": usd * _PER_MILLION if unit == "token" else None,
            "has_own_row": name in units,
        }


def _others(
    rows: pl.DataFrame, known: PricesKnown, answers: pl.DataFrame, mine: pl.DataFrame
) -> list[dict[str, object]]:
    """Return the rows of the same model that do not count for this request."""
    models = pl.concat([answers, mine]).select("provider_id", "model_id").unique()
    listed = pl.concat([known.package.prices, known.own.prices])
    others = listed.join(models, on=["provider_id", "model_id"], how="semi").join(
        rows, on="price_id", how="anti"
    )
    return PRICE_CATALOGUE.arrange(others).select(_SHOWN).to_dicts()
