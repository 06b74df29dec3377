"""Rate times tokens, exactly: golden cases by hand."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import Any

import polars as pl
import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from opsmeter_pipeline.price import build_cards, flatten_prices, price_events
from tests.scenario import NOW, event, events_of

D = Decimal


def priced_by(prices: Any, *events: dict[str, Any]) -> pl.DataFrame:
    """Return the events priced by a catalogue of one model that has these prices."""
    model = ModelInfo(id="gpt-4o", match=ClauseEquals("gpt-4o"), prices=prices)
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
    return price_events(staged(*numbered), build_cards(catalogue, names))


def staged(*events: dict[str, Any]) -> pl.DataFrame:
    return events_of(*events).drop("cost_usd", "price_id", "unpriced_reason")


def cost_of(prices: Any, **changes: Any) -> Decimal | str:
    """Return what one event costs, or why that is not known."""
    row = priced_by(prices, event(**changes)).row(0, named=True)
    assert (row["cost_usd"] is None) == (row["unpriced_reason"] is not None)
    assert (row["price_id"] is None) == (row["cost_usd"] is None)
    return row["unpriced_reason"] or row["cost_usd"]


def tiered(base: str, *tiers: tuple[int, str]) -> TieredPrices:
    return TieredPrices(base=D(base), tiers=[Tier(start, D(price)) for start, price in tiers])


ALL = ModelPrice(
    input_mtok=D("2.5"), output_mtok=D(10), cache_read_mtok=D("1.25"),
    cache_write_mtok=D("3.125"), cache_write_1h_mtok=D(5),
)  # fmt: skip
INPUT_OUTPUT = ModelPrice(input_mtok=D("2.5"), output_mtok=D(10))


@pytest.mark.parametrize(
    ("tokens", "cost"),
    [
        ({"input_tokens": 1_000, "output_tokens": 0}, 1_000 * D("0.0000025")),
        ({"input_tokens": 0, "output_tokens": 0}, D(0)),
        ({"input_tokens": 1, "output_tokens": 1}, D("0.0000025") + D("0.00001")),
        ({"input_tokens": 1_000_000, "output_tokens": 1_000_000}, D("12.5")),
        (
            {"input_tokens": 1_000, "cache_read_tokens": 600, "output_tokens": 0},
            400 * D("0.0000025") + 600 * D("0.00000125"),
        ),
        (
            {"input_tokens": 1_000, "cache_read_tokens": 1_000, "output_tokens": 0},
            1_000 * D("0.00000125"),
        ),
        (
            {"input_tokens": 1_000, "cache_write_tokens": 300, "output_tokens": 0},
            700 * D("0.0000025") + 300 * D("0.000003125"),
        ),
        (
            {"input_tokens": 1_000, "cache_write_tokens": 300, "cache_write_1h_tokens": 100,
             "output_tokens": 0},
            700 * D("0.0000025") + 200 * D("0.000003125") + 100 * D("0.000005"),
        ),
        (
            {"input_tokens": 1_000, "cache_read_tokens": 500, "cache_write_tokens": 300,
             "cache_write_1h_tokens": 300, "output_tokens": 7, "reasoning_tokens": 7},
            200 * D("0.0000025") + 500 * D("0.00000125") + 300 * D("0.000005") + 7 * D("0.00001"),
        ),
        ({"input_tokens": 2**40, "output_tokens": 2**40}, 2**40 * D("0.0000125")),
    ],
)  # fmt: skip
def test_each_token_class_is_billed_at_its_own_rate(tokens: dict, cost: Decimal) -> None:
    assert cost_of(ALL, **tokens) == cost


@pytest.mark.parametrize("input_tokens", [271_999, 272_000])
def test_up_to_the_tier_every_token_costs_the_base(input_tokens: int) -> None:
    prices = ModelPrice(
        input_mtok=tiered("2", (272_000, "4")), output_mtok=tiered("8", (272_000, "12"))
    )
    cost = cost_of(prices, input_tokens=input_tokens, output_tokens=10)
    assert cost == input_tokens * D("0.000002") + 10 * D("0.000008")


def test_above_the_tier_every_token_costs_the_tier() -> None:
    prices = ModelPrice(
        input_mtok=tiered("2", (272_000, "4")), output_mtok=tiered("8", (272_000, "12"))
    )
    cost = cost_of(prices, input_tokens=272_001, output_tokens=10)
    assert cost == 272_001 * D("0.000004") + 10 * D("0.000012")


@pytest.mark.parametrize(
    ("input_tokens", "rates"),
    [
        (100, ("0.000001", "0.000009", "0.0000005")),
        (101, ("0.000002", "0.000009", "0.0000005")),
        (200, ("0.000002", "0.000009", "0.0000005")),
        (201, ("0.000003", "0.000018", "0.0000005")),
    ],
)
def test_classes_with_other_tiers_or_none_keep_their_own(input_tokens: int, rates: tuple) -> None:
    prices = ModelPrice(
        input_mtok=tiered("1", (100, "2"), (200, "3")),
        output_mtok=tiered("9", (200, "18")),
        cache_read_mtok=D("0.5"),
    )
    tokens = {"input_tokens": input_tokens, "cache_read_tokens": 40, "output_tokens": 7}
    uncached, output, read = map(D, rates)
    assert cost_of(prices, **tokens) == (input_tokens - 40) * uncached + 7 * output + 40 * read


def test_price_changes_at_the_first_instant_of_its_utc_day() -> None:
    prices = [
        ConditionalPrice(prices=ModelPrice(input_mtok=D(3), output_mtok=D(0)), constraint=None),
        ConditionalPrice(
            constraint=StartDateConstraint(start_date=date(2026, 3, 1)),
            prices=ModelPrice(input_mtok=D(1), output_mtok=D(0)),
        ),
        ConditionalPrice(
            constraint=StartDateConstraint(start_date=date(2026, 6, 1)),
            prices=ModelPrice(input_mtok=D(5), output_mtok=D(0)),
        ),
    ]
    tokens = {"input_tokens": 1_000_000, "output_tokens": 0}
    moment = timedelta(microseconds=1)
    for instant, cost in [
        (datetime(2020, 1, 1, tzinfo=UTC), 3),
        (datetime(2026, 3, 1, tzinfo=UTC) - moment, 3),
        (datetime(2026, 3, 1, tzinfo=UTC), 1),
        (datetime(2026, 6, 1, tzinfo=UTC) - moment, 1),
        (datetime(2026, 6, 1, tzinfo=UTC), 5),
        (NOW, 5),
    ]:
        assert cost_of(prices, occurred_at=instant, **tokens) == cost, instant


@pytest.mark.parametrize(
    ("start", "end", "cheap", "dear"),
    [
        (time(0, 30), time(16, 30), ["00:30:00", "16:29:59.999999"], ["00:29:59.999999", "16:30"]),
        (time(22), time(6), ["22:00", "23:59:59.999999", "00:00", "05:59:59.999999"],
         ["21:59:59.999999", "06:00", "12:00"]),
    ],
    ids=["within_a_day", "over_midnight"],
)  # fmt: skip
def test_daily_window_holds_from_its_start_to_before_its_end(start, end, cheap, dear) -> None:
    window = TimeOfDateConstraint(start.replace(tzinfo=UTC), end.replace(tzinfo=UTC))
    prices = [
        ConditionalPrice(prices=ModelPrice(input_mtok=D(4), output_mtok=D(0)), constraint=None),
        ConditionalPrice(prices=ModelPrice(input_mtok=D(1), output_mtok=D(0)), constraint=window),
    ]
    for clocks, cost in ((cheap, 1), (dear, 4)):
        for clock in clocks:
            instant = datetime.combine(NOW.date(), time.fromisoformat(clock), UTC)
            tokens = {"input_tokens": 1_000_000, "output_tokens": 0}
            assert cost_of(prices, occurred_at=instant, **tokens) == cost, clock


@pytest.mark.parametrize(
    ("classes", "rates"),
    [
        ({}, ("2.5", "2.5", "2.5")),
        ({"cache_write_mtok": D(3)}, ("2.5", "3", "3")),
        ({"cache_write_1h_mtok": D(5)}, ("2.5", "2.5", "5")),
        ({"cache_read_mtok": D(1)}, ("1", "2.5", "2.5")),
    ],
)
def test_class_without_a_price_takes_that_of_its_parent(classes: dict, rates: tuple) -> None:
    prices = ModelPrice(input_mtok=D("2.5"), output_mtok=D(10), **classes)
    read, write, write_1h = (D(rate) * D("0.000001") for rate in rates)
    tokens = {"input_tokens": 60, "cache_read_tokens": 30, "cache_write_tokens": 30}
    cost = cost_of(prices, **tokens, cache_write_1h_tokens=20, output_tokens=0)
    assert cost == 30 * read + 10 * write + 20 * write_1h


def test_price_per_request_is_added_once() -> None:
    prices = ModelPrice(input_mtok=D(1), output_mtok=D(1), requests_kcount=D(12))
    assert cost_of(prices, input_tokens=10, output_tokens=5) == D("0.012") + 15 * D("0.000001")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "other"}, "unknown_model"),
        ({"model": "never-asked"}, "unknown_model"),
        ({"provider": "acme"}, "unknown_model"),
        ({"service_tier": "batch"}, "service_tier"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": "fast"}, "service_tier"),
        ({"web_searches": 1}, "special_units"),
        ({"input_audio_tokens": 1}, "special_units"),
        ({"input_image_tokens": 1}, "special_units"),
        ({"output_audio_tokens": 1}, "special_units"),
    ],
    ids=str,
)
def test_what_has_no_known_price_costs_null_and_says_why(changes: dict, reason: str) -> None:
    assert cost_of(INPUT_OUTPUT, **changes) == reason


@pytest.mark.parametrize("changes", [{"service_tier": "default"}, {"web_searches": 0}])
def test_default_tier_and_units_not_used_are_priced(changes: dict) -> None:
    cost = cost_of(INPUT_OUTPUT, input_tokens=1_000, output_tokens=200, **changes)
    assert cost == D("0.0045")


def test_class_that_was_used_and_has_no_price_is_unpriced() -> None:
    embedding = ModelPrice(input_mtok=D("0.02"))
    assert cost_of(embedding, input_tokens=10, output_tokens=0) == 10 * D("0.00000002")
    assert cost_of(embedding, input_tokens=10, output_tokens=1) == "no_token_price"


def test_reasoning_with_a_price_of_its_own_is_not_billed_as_plain_output() -> None:
    prices = ModelPrice(input_mtok=D(2), output_mtok=D(8), output_reasoning_mtok=D(3))
    tokens = {"input_tokens": 1_000, "output_tokens": 1_000_000, "reasoning_tokens": 1_000_000}
    assert cost_of(prices, **tokens) in (D("3.002"), "special_units", "no_token_price")


def test_events_keep_their_order_and_number() -> None:
    rows = [event(external_request_id=f"r{n}", model=["gpt-4o", "x"][n % 2]) for n in range(9)]
    priced = priced_by(INPUT_OUTPUT, *rows)
    assert priced["external_request_id"].to_list() == [f"r{n}" for n in range(9)]
    assert priced["cost_usd"].is_null().to_list() == [n % 2 == 1 for n in range(9)]
    assert priced_by(INPUT_OUTPUT).is_empty()


def test_finest_price_times_the_largest_count_keeps_every_digit() -> None:
    prices = ModelPrice(input_mtok=D("0.000000000001"), output_mtok=D("123456.123456789012"))
    tokens = {"input_tokens": 2**40, "output_tokens": 2**40}
    units = 2**40 * (1 + 123_456_123_456_789_012)  # in 10^-18 dollars
    assert cost_of(prices, **tokens) == D(units).scaleb(-18, Context(prec=38))
    assert priced_by(prices, event()).schema["cost_usd"] == pl.Decimal(38, 18)
