"""From entries of `prices.toml` to rows of `price_catalogue` and `price_aliases`.

The user's prices stand beside the package's and win by priority, the narrower entry over the
wider one (ADR 0015). Reading the file is `storage.own_book`'s.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

import polars as pl

from opsmeter_pipeline.model.tables import PRICE_ALIASES, PRICE_CATALOGUE
from opsmeter_pipeline.price.own import OwnPrice, OwnPrices

if TYPE_CHECKING:
    from decimal import Decimal

OWN_SOURCE = "prices.toml"
OWN_PRIORITY = 1_000_000
"""Of a user's own row; the package counts its entries from 0 and never comes near."""
_OF_ENVIRONMENT, _OF_TENANT = 1, 2
"""What is added for an entry of one environment, and of one tenant: a tenant's contract wins."""

_UNITS: Mapping[str, str] = MappingProxyType({"request": "request", "web_search": "search"})
"""The unit of a class that is not priced by tokens."""


def to_catalogue_rows(
    own: OwnPrices, *, version: str, sha256: str, loaded_at: datetime
) -> pl.DataFrame:
    """Return all prices of the file as rows of `price_catalogue`, one row per price.

    Args:
        own: the file's entries.
        version: the file's version, kept with each row and in each price id.
        sha256: of the file's bytes, hexadecimal.
        loaded_at: when this is done (UTC).
    """
    shared = {
        "source": OWN_SOURCE,
        "source_version": version,
        "source_sha256": sha256,
        "loaded_at": loaded_at,
        "currency": "USD",
        "is_rounded": False,
    }
    rows = [
        shared | _describe(price, order) | row | {"price_id": _price_id(price, row, version)}
        for order, price in enumerate(own.prices)
        for row in _rows(price)
    ]
    return pl.DataFrame(rows, schema=PRICE_CATALOGUE.schema)


def to_alias_rows(own: OwnPrices, *, version: str, loaded_at: datetime) -> pl.DataFrame:
    """Return the file's aliases as rows of `price_aliases`."""
    rows = [(*alias.name, *alias.means, version, loaded_at) for alias in own.aliases]
    return pl.DataFrame(rows, schema=PRICE_ALIASES.schema, orient="row")


def _describe(price: OwnPrice, order: int) -> dict[str, object]:
    narrower = _OF_ENVIRONMENT * bool(price.environment) + _OF_TENANT * bool(price.tenant_id)
    return {
        "provider_id": price.name[0],
        "model_id": price.name[1],
        "model_order": order,
        "model_pattern": json.dumps({"equals": price.name[1]}),
        "priority": OWN_PRIORITY + narrower,
        "valid_from": price.valid_from,
        "valid_to": price.valid_to,
        "service_tier": None if price.service_tier == "default" else price.service_tier,
        "environment": price.environment,
        "tenant_id": price.tenant_id,
    }


def _rows(price: OwnPrice) -> Iterator[dict[str, object]]:
    """Yield a row per price, and again for each tier, which holds for the whole request."""
    in_force: Mapping[str, Decimal] = price.prices
    for above in [None, *sorted(price.tiers)]:
        in_force = dict(in_force) | dict(price.tiers[above] if above is not None else {})
        for token_class, usd in in_force.items():
            yield {
                "token_class": token_class,
                "unit": _UNITS.get(token_class, "token"),
                "price_usd_per_unit": usd,
                "tier_threshold_tokens": above,
                "tier_operator": None if above is None else ">",
                "tier_scope": None if above is None else "whole_request",
                "tier_count": None if above is None else "input_tokens",
            }


def _price_id(price: OwnPrice, row: Mapping[str, object], version: str) -> str:
    above = row["tier_threshold_tokens"]
    number = price.label.rsplit(" ", 1)[-1]
    tier = "" if above is None else f">{above}"
    return f"{'/'.join(price.name)}@{OWN_SOURCE}-{version}#{number}{tier}"
