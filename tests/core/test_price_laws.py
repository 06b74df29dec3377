"""Laws of pricing: no cost depends on the company an event is in, and parts add up to the whole."""

from decimal import Decimal
from random import Random
from typing import Any

import polars as pl
import pytest
from genai_prices import data_snapshot
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.model.wire import MAX_COUNT
from opsmeter_pipeline.price import (
    NOTHING_COMPARABLE,
    Matcher,
    build_cards,
    flatten_prices,
    price_events,
)
from tests.scenario import NOW, PRICED, event, events_of

MODELS = [
    ("openai", "gpt-4o"),  # flat, web searches, batch from a date on
    ("anthropic", "claude-sonnet-4-5"),  # dear above 200,000, one-hour writes
    ("deepseek", "deepseek-v4-flash"),  # dates and daily windows
    ("openai", "gpt-realtime"),  # audio and images
    ("openai", "house-finetune-7b"),
]


@pytest.fixture(scope="module")
def cards() -> pl.DataFrame:
    providers = data_snapshot.get_snapshot().providers
    catalogue = flatten_prices(providers, version="1", sha256="", loaded_at=NOW)
    names = [(*name, *Matcher(providers).resolve(*name)) for name in MODELS]
    columns = ["provider", "model", "called_provider_id", "provider_id", "model_id", "rule",
               "candidates"]  # fmt: skip
    return build_cards(catalogue, pl.DataFrame(names, orient="row", schema=columns))


@st.composite
def usages(draw: st.DrawFn, *, most: int = MAX_COUNT) -> dict[str, Any]:
    """Return counts that keep the contract."""
    total, output = draw(st.integers(1, most)), draw(st.integers(0, most))
    read = draw(st.integers(0, total))
    write = draw(st.integers(0, total - read))
    audio = draw(st.integers(0, total))
    reasoning = draw(st.integers(0, output))
    told = {
        "cache_read_tokens": read,
        "cache_write_tokens": write,
        "cache_write_1h_tokens": draw(st.integers(0, write)),
        "input_audio_tokens": audio,
        "input_image_tokens": draw(st.integers(0, total - audio)),
        "reasoning_tokens": reasoning,
        "output_audio_tokens": draw(st.integers(0, output - reasoning)),
        "web_searches": draw(st.integers(0, 9)),
    }
    names = draw(st.sets(st.sampled_from(sorted(told))))
    kept = {name: told[name] for name in names}
    if "cache_write_tokens" not in kept:
        kept.pop("cache_write_1h_tokens", None)
    return {"input_tokens": total, "output_tokens": output} | kept


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    provider, model = draw(st.sampled_from(MODELS))
    tier = draw(st.sampled_from([None, None, "default", "batch", "flex"]))
    at = NOW.replace(month=draw(st.integers(1, 12)), hour=draw(st.integers(0, 23)))
    told = {"provider": provider, "model": model, "service_tier": tier, "occurred_at": at}
    return event(**told, **draw(usages()))


def price(cards: pl.DataFrame, *given_rows: dict[str, Any]) -> list[tuple[Any, ...]]:
    numbered = [row | {"seq": seq} for seq, row in enumerate(given_rows)]
    priced = price_events(events_of(*numbered).drop(PRICED), cards, comparables=NOTHING_COMPARABLE)
    assert (priced["cost_usd"].is_null() == priced["unpriced_reason"].is_not_null()).all()
    assert (priced["cost_usd"].is_null() == priced["price_id"].is_null()).all()
    assert (priced["cost_usd"].drop_nulls() >= 0).all()
    return priced.select(PRICED).rows()


@given(events=st.lists(rows(), min_size=1, max_size=12), cut=st.integers(0, 12), seed=st.integers())
def test_no_cost_depends_on_order_or_on_which_events_are_priced_together(
    cards: pl.DataFrame, events: list, cut: int, seed: int
) -> None:
    whole = price(cards, *events)
    assert price(cards, *events[:cut]) + price(cards, *events[cut:]) == whole
    places = list(range(len(events)))
    Random(seed).shuffle(places)
    assert price(cards, *(events[place] for place in places)) == [whole[place] for place in places]


@given(first=usages(most=10**9), second=usages(most=10**9))
def test_two_calls_at_one_flat_price_cost_what_one_with_their_sum_does(
    cards: pl.DataFrame, first: dict, second: dict
) -> None:
    plain = dict.fromkeys(("input_audio_tokens", "output_audio_tokens"), 0)
    both = {name: first.get(name, 0) + second.get(name, 0) for name in first | second}
    costs = [
        row[0] for row in price(cards, *(event(**one | plain) for one in (first, second, both)))
    ]
    assert costs[0] + costs[1] == costs[2]
    assert all(isinstance(cost, Decimal) for cost in costs)
