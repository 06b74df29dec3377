"""Conditions of the catalogue that the package does not use and a user's own file may."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from opsmeter_pipeline.model.tables import MODEL_RESOLUTIONS, PRICE_CATALOGUE
from opsmeter_pipeline.price import NOTHING_COMPARABLE, build_cards, price_events
from tests.scenario import NOW, PRICED, event, events_of

D = Decimal
RESOLVED = {
    "provider": "openai", "model": "gpt-4o", "called_provider_id": "p", "provider_id": "p",
    "model_id": "m", "rule": "equals", "candidates": None, "source_version": "1",
    "resolved_at": NOW,
}  # fmt: skip


def row(token_class: str, usd: str, **changes: Any) -> dict[str, Any]:
    """Return a catalogue row of the model `m` that holds always."""
    return (
        dict.fromkeys(PRICE_CATALOGUE.schema)
        | {"price_id": "a", "provider_id": "p", "model_id": "m", "model_order": 0, "priority": 0,
           "token_class": token_class, "price_usd_per_unit": D(usd), "is_rounded": False}
        | changes
    )  # fmt: skip


def priced(rows: list[dict[str, Any]], *, resolved: Any = None, **changes: Any) -> dict[str, Any]:
    """Return one event priced by these rows."""
    catalogue = pl.DataFrame(rows, schema=PRICE_CATALOGUE.schema)
    names = pl.DataFrame([RESOLVED | (resolved or {})], schema=MODEL_RESOLUTIONS.schema)
    events = events_of(event(**changes)).drop(PRICED)
    return price_events(events, build_cards(catalogue, names), comparables=NOTHING_COMPARABLE).row(
        0, named=True
    )


def cost_of(rows: list[dict[str, Any]], **changes: Any) -> Decimal | str:
    found = priced(rows, **changes)
    return found["unpriced_reason"] or found["cost_usd"]


def whole(threshold: int, operator: str) -> dict[str, Any]:
    return {"price_id": f"a{operator}{threshold}", "tier_threshold_tokens": threshold,
            "tier_operator": operator, "tier_scope": "whole_request",
            "tier_count": "input_tokens"}  # fmt: skip


def beyond(threshold: int, operator: str) -> dict[str, Any]:
    return {"tier_threshold_tokens": threshold, "tier_operator": operator,
            "tier_scope": "marginal", "tier_count": "class_tokens"}  # fmt: skip


PLAIN = [row("uncached_input", "2"), row("output", "8")]


@pytest.mark.parametrize(
    ("operator", "count", "rate"),
    [(">", 99, 2), (">", 100, 2), (">", 101, 3), (">=", 99, 2), (">=", 100, 3), (">=", 101, 3)],
)
def test_whole_request_tier_begins_after_or_at_its_threshold(operator, count, rate) -> None:
    tier = whole(100, operator)
    rows = [*PLAIN, row("uncached_input", "3", **tier), row("output", "8", **tier)]
    assert cost_of(rows, input_tokens=count, output_tokens=1) == count * rate + 8


@pytest.mark.parametrize(
    ("operator", "count", "cost"),
    [
        (">", 99, 99 * 2),
        (">", 100, 100 * 2),
        (">", 101, 100 * 2 + 1 * 3),
        (">", 250, 100 * 2 + 100 * 3 + 50 * D("0.5")),
        (">=", 99, 99 * 2),
        (">=", 100, 99 * 2 + 1 * 3),
        (">=", 101, 99 * 2 + 2 * 3),
        (">=", 250, 99 * 2 + 100 * 3 + 51 * D("0.5")),
    ],
)
def test_marginal_tier_prices_only_the_tokens_beyond_it(operator, count, cost) -> None:
    rows = [*PLAIN, row("uncached_input", "3", **beyond(100, operator)),
            row("uncached_input", "0.5", **beyond(200, operator))]  # fmt: skip
    assert cost_of(rows, input_tokens=count, output_tokens=7) == cost + 7 * 8


def test_class_without_a_price_counts_towards_the_marginal_tier_of_its_parent() -> None:
    rows = [*PLAIN, row("uncached_input", "3", **beyond(100, ">"))]
    tokens = {"input_tokens": 120, "cache_read_tokens": 90, "output_tokens": 0}
    assert cost_of(rows, **tokens) == 100 * 2 + 20 * 3
    with_read = [*rows, row("cache_read", "1")]
    assert cost_of(with_read, **tokens) == 30 * 2 + 90 * 1


def test_marginal_tier_without_a_base_price_prices_nothing() -> None:
    rows = [row("output", "8"), row("uncached_input", "3", **beyond(100, ">"))]
    assert cost_of(rows, input_tokens=50, output_tokens=1) == "no_token_price"
    assert cost_of(rows, input_tokens=150, output_tokens=1) == "no_token_price"


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({}, 2),
        ({"tenant_id": "t-1"}, 5),
        ({"environment": "staging"}, 6),
        ({"environment": "staging", "tenant_id": "t-1"}, 5),
    ],
    ids=str,
)
def test_own_row_counts_for_its_environment_or_tenant_only(changes: dict, rate: int) -> None:
    mine = {"priority": 10, "price_id": "t", "tenant_id": "t-1"}
    theirs = {"priority": 10, "price_id": "e", "environment": "staging"}
    rows = [*PLAIN, row("uncached_input", "5", **mine), row("uncached_input", "6", **theirs)]
    assert cost_of(rows, input_tokens=1, output_tokens=0, **changes) == rate


def test_highest_priority_counts_whatever_else_holds() -> None:
    rows = [
        row("uncached_input", "1", price_id="low", priority=1, valid_from=NOW),
        row("uncached_input", "2", price_id="high", priority=2),
        row("uncached_input", "3", price_id="none", priority=0),
    ]
    found = priced(rows, input_tokens=1, output_tokens=0)
    assert (found["cost_usd"], found["price_id"]) == (2, "high")


def test_price_holds_from_its_first_instant_to_before_its_last() -> None:
    end = NOW + timedelta(days=1)
    rows = [row("uncached_input", "2", valid_from=NOW, valid_to=end)]
    moment = timedelta(microseconds=1)
    for instant, cost in [
        (NOW - moment, "no_price_then"), (NOW, 2), (end - moment, 2), (end, "no_price_then"),
        (datetime(1970, 1, 1, tzinfo=UTC), "no_price_then"),
    ]:  # fmt: skip
        assert cost_of(rows, input_tokens=1, output_tokens=0, occurred_at=instant) == cost


@pytest.mark.parametrize(
    ("resolved", "reason"),
    [
        ({"rule": "unknown_model"}, "unknown_model"),
        ({"rule": "unknown_provider"}, "unknown_model"),
        ({"rule": "ambiguous"}, "ambiguous_model"),
        ({"rule": "fine_tuned"}, "fine_tuned_model"),
    ],
    ids=str,
)
@pytest.mark.parametrize("tier", [None, "batch"])
def test_name_that_was_not_resolved_says_why(resolved: dict, reason: str, tier: str | None) -> None:
    nothing = {"called_provider_id": None, "provider_id": None, "model_id": None}
    found = priced(PLAIN, resolved=nothing | resolved, service_tier=tier)
    assert (found["cost_usd"], found["price_id"], found["unpriced_reason"]) == (None, None, reason)


def test_borrowed_price_list_has_no_service_tiers() -> None:
    rows = [*PLAIN, row("uncached_input", "1", price_id="b", service_tier="batch")]
    own, borrowed = {}, {"called_provider_id": "azure"}
    tokens = {"input_tokens": 1, "output_tokens": 0}
    assert priced(rows, resolved=own, service_tier="batch", **tokens)["cost_usd"] == 1
    found = priced(rows, resolved=borrowed, service_tier="batch", **tokens)
    assert found["unpriced_reason"] == "service_tier"
    assert priced(rows, resolved=borrowed, **tokens)["cost_usd"] == 2


def test_unknown_name_with_an_own_price_for_one_tier_or_tenant_is_priced_there_only() -> None:
    rows = [row("uncached_input", "1", service_tier="batch", tenant_id="t-1")]
    names = pl.DataFrame([RESOLVED], schema=MODEL_RESOLUTIONS.schema)
    missing = names.with_columns(
        pl.lit(None, pl.String).alias(name) for name in ("provider_id", "model_id")
    ).with_columns(rule=pl.lit("unknown_model"))
    catalogue = pl.DataFrame(rows, schema=PRICE_CATALOGUE.schema)
    cards = pl.concat([build_cards(catalogue, missing), build_cards(catalogue, names)])
    asked = [{"service_tier": "batch", "tenant_id": "t-1"}, {"service_tier": "batch"}, {}]
    events = events_of(*(event(seq=n, output_tokens=0, **one) for n, one in enumerate(asked)))
    found = price_events(events.drop(PRICED), cards, comparables=NOTHING_COMPARABLE)
    assert found["cost_usd"].to_list() == [1_000, None, None]
    assert found["unpriced_reason"].to_list() == [None, "unknown_model", "unknown_model"]
