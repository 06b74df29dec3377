"""A catalogue of one model with any prices, and what an event costs by it."""

from decimal import Decimal
from typing import Any

import polars as pl
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, Provider, Tier, TieredPrices

from opsmeter_pipeline.price import NOTHING_COMPARABLE, build_cards, flatten_prices, price_events
from tests.scenario import NOW, PRICED, event, events_of

D = Decimal

ALL = ModelPrice(
    input_mtok=D("2.5"), output_mtok=D(10), cache_read_mtok=D("1.25"),
    cache_write_mtok=D("3.125"), cache_write_1h_mtok=D(5),
)  # fmt: skip
INPUT_OUTPUT = ModelPrice(input_mtok=D("2.5"), output_mtok=D(10))


def priced_by(prices: Any, *events: dict[str, Any], variants: Any = None) -> pl.DataFrame:
    """Return the events priced by a catalogue of one model that has these prices."""
    model = ModelInfo(
        id="gpt-4o", match=ClauseEquals("gpt-4o"), prices=prices, price_variants=variants
    )
    provider = Provider(id="openai", name="OpenAI", api_pattern="", models=[model])
    catalogue = flatten_prices([provider], version="1", sha256="", loaded_at=NOW)
    names = pl.DataFrame(
        [
            ("openai", "gpt-4o", "openai", "openai", "gpt-4o", "equals"),
            ("openai", "other", None, None, None, "unknown"),
        ],
        schema=dict.fromkeys(
            ("provider", "model", "called_provider_id", "provider_id", "model_id", "rule"),
            pl.String,
        ),
        orient="row",
    )
    numbered = [one | {"seq": seq} for seq, one in enumerate(events)]
    return price_events(
        staged(*numbered), build_cards(catalogue, names), comparables=NOTHING_COMPARABLE
    )


def staged(*events: dict[str, Any]) -> pl.DataFrame:
    return events_of(*events).drop(PRICED)


def cost_of(prices: Any, *, variants: Any = None, **changes: Any) -> Decimal | str:
    """Return what one event costs, or why that is not known."""
    row = priced_by(prices, event(**changes), variants=variants).row(0, named=True)
    assert (row["cost_usd"] is None) == (row["unpriced_reason"] is not None)
    assert (row["price_id"] is None) == (row["cost_usd"] is None)
    return row["unpriced_reason"] or row["cost_usd"]


def tiered(base: str, *tiers: tuple[int, str]) -> TieredPrices:
    return TieredPrices(base=D(base), tiers=[Tier(start, D(price)) for start, price in tiers])
