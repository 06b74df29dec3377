"""From the genai-prices package's objects to rows of `price_catalogue`.

The package lists prices by provider and model; several entries of one model have start dates or
daily windows, a value may have tiers by input size, variants replace single prices for a service
tier. Here each combination becomes a card, and each price of a card a row. Reading the package is
`storage.price_book`'s, what a card is `docs/prices.md`'s.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import polars as pl

from opsmeter_pipeline.model.clock import start_of_day
from opsmeter_pipeline.model.tables import PRICE_CATALOGUE

CLASS_OF_KEY = MappingProxyType(
    {
        "input_mtok": ("uncached_input", "token"),
        "cache_read_mtok": ("cache_read", "token"),
        "cache_write_mtok": ("cache_write", "token"),
        "cache_write_1h_mtok": ("cache_write_1h", "token"),
        "input_audio_mtok": ("input_audio", "token"),
        "cache_audio_read_mtok": ("input_audio_cache_read", "token"),
        "input_image_mtok": ("input_image", "token"),
        "cache_image_read_mtok": ("input_image_cache_read", "token"),
        "output_mtok": ("output", "token"),
        "output_reasoning_mtok": ("reasoning", "token"),
        "output_audio_mtok": ("output_audio", "token"),
        "web_searches_kcount": ("web_search", "search"),
        "requests_kcount": ("request", "request"),
        "storage_searches_kcount": ("storage_search", "search"),
        "input_video_mtok": ("input_video", "token"),
        "output_image_mtok": ("output_image", "token"),
        "output_video_mtok": ("output_video", "token"),
        "output_citation_mtok": ("output_citation", "token"),
        "audio_hours": ("audio", "hour"),
        "input_audio_hours": ("input_audio_time", "hour"),
        "input_mchars": ("input_character", "character"),
        "input_text_messages_kcount": ("input_message", "message"),
        "input_document_kpages": ("input_document", "page"),
        "input_annotated_document_kpages": ("input_annotated_document", "page"),
    }
)
"""The token class and unit of each price key; a price per hour stays one, nothing is divided."""
CONTEXTS: Mapping[str | None, Mapping[str, str]] = MappingProxyType(
    {
        None: {},
        "batch": {"processing": "batch"},
        "flex": {"service_tier": "flex"},
        "priority": {"service_tier": "priority"},
        "fast": {"service_tier": "fast", "speed": "fast"},
    }
)
"""What the package's price variants are asked with for each service tier of the payload."""
_PER_UNIT = {
    "mtok": Decimal("0.000001"),
    "mchars": Decimal("0.000001"),
    "kcount": Decimal("0.001"),
    "kpages": Decimal("0.001"),
    "hours": Decimal(1),
}
_FINEST = Decimal("0.000000000001")
"""Prices with more than 12 decimals per million are float artefacts and are rounded to 12."""
_Prices = Mapping[str, Any]


class _Card(NamedTuple):
    """One of a model's price lists, with when and for whom it is in force."""

    name: str
    priority: int
    valid_from: datetime | None
    valid_to: datetime | None
    window_start: time | None
    window_end: time | None
    prices: _Prices
    service_tier: str | None = None


def flatten_prices(
    providers: Iterable[Any], *, version: str, sha256: str, loaded_at: datetime
) -> pl.DataFrame:
    """Return all prices of the source, one row per price; see `price_catalogue`.

    Args:
        providers: `genai_prices.types.Provider` objects in the package's order.
        version: the package's version, kept with each row and in each price id.
        sha256: of the package's data, kept with each row.
        loaded_at: when this is done (UTC).
    """
    told = {
        "source": "genai-prices",
        "source_version": version,
        "source_sha256": sha256,
        "loaded_at": loaded_at,
        "currency": "USD",
    }
    models = [
        (provider, model, pattern_of(model.match))
        for provider in providers
        for model in provider.models
    ]
    rows = [
        told
        | {
            "provider_id": provider.id,
            "model_id": model.id,
            "model_order": order,
            "model_pattern": pattern,
        }
        | row
        | {"price_id": f"{provider.id}/{model.id}@{version}#{row['price_id']}"}
        for order, (provider, model, pattern) in enumerate(models)
        for card in _cards(model)
        for row in _rows(card)
    ]
    return pl.DataFrame(rows, schema=PRICE_CATALOGUE.schema)


def pattern_of(clause: Any) -> str:  # noqa: ANN401 - the package's union of clauses
    """Return a match clause as JSON: `{"equals": ...}`, `{"or": [...]}` and so on."""
    return json.dumps(_told(clause))


def _told(clause: Any) -> dict[str, Any]:  # noqa: ANN401 - the package's union of clauses
    [(kind, value)] = cast("dict[str, Any]", vars(clause)).items()
    parts = cast("list[Any]", value) if isinstance(value, list) else None
    return {kind.rstrip("_"): value if parts is None else [_told(part) for part in parts]}


def _cards(model: Any) -> Iterator[_Card]:  # noqa: ANN401 - the package's own class
    """Yield the model's cards: its standard ones, then those of each service tier."""
    standard = _entries(model.prices)
    yield from standard
    for tier, context in CONTEXTS.items():
        variants = [
            variant
            for variant in model.price_variants or ()
            if variant.when.items() <= context.items() and _is_dated(variant.constraint)
        ]
        if tier is not None and variants:
            for card in standard:
                yield from _tier_cards(card, tier, variants)


def _entries(prices: Any) -> Sequence[_Card]:  # noqa: ANN401 - one ModelPrice or a list
    """Return the standard cards; a later dated entry ends the ones before it.

    The first entry holds where no other does, whatever its own constraint says (the package's
    rule), so it is in force since ever.
    """
    if not isinstance(prices, list):
        return [_Card("0", 0, None, None, None, None, cast("dict[str, Any]", vars(prices)))]
    entries = cast("list[Any]", prices)
    starts = [None, *(_start_of(entry.constraint) for entry in entries[1:])]
    return [
        _Card(
            f"{priority}",
            priority,
            starts[priority],
            min((start for start in starts[priority + 1 :] if start), default=None),
            getattr(entry.constraint, "start_time", None) if priority else None,
            getattr(entry.constraint, "end_time", None) if priority else None,
            cast("dict[str, Any]", vars(entry.prices)),
        )
        for priority, entry in enumerate(entries)
    ]


def _tier_cards(card: _Card, tier: str, variants: Sequence[Any]) -> Iterator[_Card]:
    """Yield the card with a service tier's prices in place of its own, from each date of theirs.

    Before the first of these dates nothing is known of the tier and there is no card. A class
    that no variant names keeps its price.
    """
    starts = [_start_of(variant.constraint) for variant in variants]
    first, end = card.valid_from, card.valid_to
    inside = {
        start
        for start in starts
        if start and (first is None or start > first) and (end is None or start < end)
    }
    edges = [first, *sorted(inside)]
    for since, until in zip(edges, [*edges[1:], end], strict=True):
        prices: dict[str, Any] = {}
        for variant, start in zip(variants, starts, strict=True):
            if start is None or (since is not None and start <= since):
                prices = _known(cast("dict[str, Any]", vars(variant.prices))) | prices
        if prices:
            day = f"@{since:%Y-%m-%d}" if since in inside else ""
            yield card._replace(
                name=f"{card.name}/{tier}{day}", valid_from=since, valid_to=until,
                prices=_known(card.prices) | prices, service_tier=tier,
            )  # fmt: skip


def _known(prices: _Prices) -> dict[str, Any]:
    return {key: price for key, price in prices.items() if price is not None}


def _is_dated(constraint: Any) -> bool:  # noqa: ANN401 - the package's union
    """Say whether a variant is bounded by a date or not at all; no other is read."""
    return constraint is None or hasattr(constraint, "start_date")


def _start_of(constraint: Any) -> datetime | None:  # noqa: ANN401 - the package's union
    day = getattr(constraint, "start_date", None)
    return start_of_day(day) if day else None


def _rows(card: _Card) -> Iterator[dict[str, object]]:
    """Yield the rows of one card: for each tier of any of its prices, all its prices."""
    prices = _known(card.prices)
    tiers = {tier.start for price in prices.values() for tier in getattr(price, "tiers", ())}
    for above in [None, *sorted(tiers)]:
        for key, price in prices.items():
            exact, is_rounded = _per_unit(key, _at_tier(price, above))
            token_class, unit = CLASS_OF_KEY[key]
            yield {
                "price_id": card.name + (f">{above}" if above is not None else ""),
                "token_class": token_class,
                "unit": unit,
                "price_usd_per_unit": exact,
                "priority": card.priority,
                "valid_from": card.valid_from,
                "valid_to": card.valid_to,
                "window_start": _clock(card.window_start),
                "window_end": _clock(card.window_end),
                "tier_threshold_tokens": above,
                "tier_operator": None if above is None else ">",
                "tier_scope": None if above is None else "whole_request",
                "tier_count": None if above is None else "input_tokens",
                "service_tier": card.service_tier,
                "is_rounded": is_rounded,
            }


def _clock(told: time | None) -> time | None:
    """Return a UTC time of day; one without an offset is UTC already."""
    if told is None or told.tzinfo is None:
        return told
    return datetime.combine(date(2000, 1, 1), told).astimezone(UTC).time()


def _at_tier(price: Any, above: int | None) -> Decimal:  # noqa: ANN401 - Decimal or TieredPrices
    if isinstance(price, Decimal):
        return price
    reached = [tier for tier in price.tiers if above is not None and tier.start <= above]
    return max(reached, key=lambda tier: tier.start).price if reached else price.base


def _per_unit(key: str, price: Decimal) -> tuple[Decimal, bool]:
    """Return the exact price of one unit, and whether a float artefact had to be rounded."""
    clean = price if price == price.quantize(_FINEST) else price.quantize(_FINEST, ROUND_HALF_EVEN)
    return clean * _PER_UNIT[key.rsplit("_", 1)[1]], clean != price
