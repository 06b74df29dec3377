"""From the genai-prices package's objects to rows of `price_catalogue`.

The package lists prices per million tokens by provider and model; several entries of one model
have start dates or daily windows, a value may have tiers by input size. Here each combination
becomes rows that say so themselves. Reading the package is `storage.price_book`'s.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple, cast

import polars as pl

from opsmeter_pipeline.model.tables import PRICE_CATALOGUE

CLASS_OF_KEY = {
    "input_mtok": "uncached_input",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "requests_kcount": "request",
}
"""The price keys read so far; audio, images and searches are not priced yet."""
_PER_UNIT = {"mtok": Decimal("0.000001"), "kcount": Decimal("0.001")}
_FINEST = Decimal("0.000000000001")
"""Prices with more than 12 decimals per million are float artefacts and are rounded to 12."""


class _Entry(NamedTuple):
    """One of a model's price lists, with when it is in force."""

    priority: int
    valid_from: datetime | None
    valid_to: datetime | None
    window_start: time | None
    window_end: time | None
    prices: dict[str, Any]


def flatten_prices(
    providers: Iterable[Any], *, version: str, sha256: str, loaded_at: datetime
) -> pl.DataFrame:
    """Return all standard token prices of the source, one row per price; see `price_catalogue`.

    Args:
        providers: `genai_prices.types.Provider` objects in the package's order.
        version: the package's version, kept with each row and in each price id.
        sha256: of the package's data, kept with each row.
        loaded_at: when this is done (UTC).
    """
    models = [(provider, model) for provider in providers for model in provider.models]
    rows = [
        {
            **row,
            "provider_id": provider.id,
            "model_id": model.id,
            "model_order": order,
            "model_pattern": pattern_of(model.match),
            "currency": "USD",
            "price_id": f"{provider.id}/{model.id}@{version}#{row['price_id']}",
            "source": "genai-prices",
            "source_version": version,
            "source_sha256": sha256,
            "loaded_at": loaded_at,
        }
        for order, (provider, model) in enumerate(models)
        for entry in _entries(model.prices)
        for row in _rows(entry)
    ]
    return pl.DataFrame(rows, schema=PRICE_CATALOGUE.schema)


def pattern_of(clause: Any) -> str:  # noqa: ANN401 - the package's union of clauses
    """Return a match clause as JSON: `{"equals": ...}`, `{"or": [...]}` and so on."""
    return json.dumps(_told(clause))


def _told(clause: Any) -> dict[str, Any]:  # noqa: ANN401 - the package's union of clauses
    [(kind, value)] = vars(clause).items()
    told = [_told(part) for part in value] if isinstance(value, list) else value
    return {kind.rstrip("_"): told}


def _entries(prices: Any) -> Sequence[_Entry]:  # noqa: ANN401 - one ModelPrice or a list
    """Return the entries with their validity; a later dated entry ends the ones before it."""
    if not isinstance(prices, list):
        return [_Entry(0, None, None, None, None, vars(prices))]
    entries = cast("list[Any]", prices)
    starts = [_start_of(entry.constraint) for entry in entries]
    return [
        _Entry(
            priority,
            starts[priority],
            min((start for start in starts[priority + 1 :] if start), default=None),
            getattr(entry.constraint, "start_time", None),
            getattr(entry.constraint, "end_time", None),
            vars(entry.prices),
        )
        for priority, entry in enumerate(entries)
    ]


def _start_of(constraint: Any) -> datetime | None:  # noqa: ANN401 - the package's union
    day = getattr(constraint, "start_date", None)
    return datetime.combine(day, time(), UTC) if day else None


def _rows(entry: _Entry) -> Iterator[dict[str, object]]:
    """Yield the rows of one entry: for each tier of any of its prices, all its prices."""
    prices = {key: entry.prices[key] for key in CLASS_OF_KEY if entry.prices.get(key) is not None}
    tiers = {tier.start for price in prices.values() for tier in getattr(price, "tiers", ())}
    for above in [None, *sorted(tiers)]:
        for key, price in prices.items():
            exact, is_rounded = _per_unit(key, _at_tier(price, above))
            yield {
                "price_id": f"{entry.priority}" + (f">{above}" if above is not None else ""),
                "token_class": CLASS_OF_KEY[key],
                "price_usd_per_unit": exact,
                "unit": "request" if key == "requests_kcount" else "token",
                "priority": entry.priority,
                "valid_from": entry.valid_from,
                "valid_to": entry.valid_to,
                "window_start": entry.window_start and entry.window_start.replace(tzinfo=None),
                "window_end": entry.window_end and entry.window_end.replace(tzinfo=None),
                "tier_threshold_tokens": above,
                "tier_operator": None if above is None else ">",
                "tier_scope": None if above is None else "whole_request",
                "tier_count": None if above is None else "input_tokens",
                "is_rounded": is_rounded,
            }


def _at_tier(price: Any, above: int | None) -> Decimal:  # noqa: ANN401 - Decimal or TieredPrices
    if isinstance(price, Decimal):
        return price
    reached = [tier for tier in price.tiers if above is not None and tier.start <= above]
    return max(reached, key=lambda tier: tier.start).price if reached else price.base


def _per_unit(key: str, price: Decimal) -> tuple[Decimal, bool]:
    """Return the exact price of one unit, and whether a float artefact had to be rounded."""
    clean = price if price == price.quantize(_FINEST) else price.quantize(_FINEST, ROUND_HALF_EVEN)
    return clean * _PER_UNIT[key.rsplit("_", 1)[1]], clean != price
