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
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from opsmeter_pipeline.price import build_cards, flatten_prices, price_events
from tests.scenario import NOW, event, events_of

D = Decimal


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
    return price_events(staged(*numbered), build_cards(catalogue, names))


def staged(*events: dict[str, Any]) -> pl.DataFrame:
    return events_of(*events).drop("cost_usd", "price_id", "unpriced_reason")


def cost_of(prices: Any, *, variants: Any = None, **changes: Any) -> Decimal | str:
    """Return what one event costs, or why that is not known."""
    row = priced_by(prices, event(**changes), variants=variants).row(0, named=True)
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
        ({"cache_write_mtok": D(3), "cache_write_1h_mtok": D(4)}, ("2.5", "3", "4")),
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
        ({"output_audio_tokens": 1}, "special_units"),
    ],
    ids=str,
)
def test_what_has_no_known_price_costs_null_and_says_why(changes: dict, reason: str) -> None:
    assert cost_of(INPUT_OUTPUT, **changes) == reason


def test_one_hour_writes_take_no_price_from_writes_that_have_one() -> None:
    prices = ModelPrice(input_mtok=D("2.5"), output_mtok=D(10), cache_write_mtok=D(3))
    tokens = {"input_tokens": 60, "cache_write_tokens": 30, "output_tokens": 0}
    assert cost_of(prices, **tokens) == 30 * D("0.0000025") + 30 * D("0.000003")
    assert cost_of(prices, **tokens, cache_write_1h_tokens=1) == "no_token_price"


SPECIAL = ModelPrice(
    input_mtok=D(4), output_mtok=D(16), cache_read_mtok=D("0.4"), cache_write_mtok=D(5),
    input_audio_mtok=D(32), cache_audio_read_mtok=D("0.3"), output_audio_mtok=D(64),
    input_image_mtok=D(6), cache_image_read_mtok=D("0.5"), output_reasoning_mtok=D(11),
    web_searches_kcount=D(10),
)  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "micro_usd"),
    [
        ({"input_audio_tokens": 300}, 700 * 4 + 300 * 32 + 200 * 16),
        ({"input_audio_tokens": 1_000}, 1_000 * 32 + 200 * 16),
        ({"input_image_tokens": 300}, 700 * 4 + 300 * 6 + 200 * 16),
        ({"input_audio_tokens": 300, "input_image_tokens": 500},
         200 * 4 + 300 * 32 + 500 * 6 + 200 * 16),
        ({"output_audio_tokens": 150}, 1_000 * 4 + 50 * 16 + 150 * 64),
        ({"output_audio_tokens": 150, "reasoning_tokens": 30},
         1_000 * 4 + 20 * 16 + 150 * 64 + 30 * 11),
        ({"reasoning_tokens": 200}, 1_000 * 4 + 200 * 11),
        ({"web_searches": 3}, 1_000 * 4 + 200 * 16 + 3 * 10_000),
        ({"input_audio_tokens": 0, "cache_read_tokens": 600, "web_searches": 0},
         400 * 4 + D("0.4") * 600 + 200 * 16),
    ],
    ids=str,
)  # fmt: skip
def test_audio_images_reasoning_and_searches_have_rates_of_their_own(counts, micro_usd) -> None:
    assert cost_of(SPECIAL, **counts) == D("0.000001") * micro_usd


@pytest.mark.parametrize(
    ("counts", "micro_usd"),
    [
        ({"input_audio_tokens": 1_000, "cache_read_tokens": 600}, 400 * 32 + 600 * D("0.3")),
        ({"input_image_tokens": 1_000, "cache_read_tokens": 600}, 400 * 6 + 600 * D("0.5")),
        ({"input_audio_tokens": 300, "cache_read_tokens": 1_000},
         700 * D("0.4") + 300 * D("0.3")),
        ({"input_audio_tokens": 300, "input_image_tokens": 200, "cache_read_tokens": 1_000},
         500 * D("0.4") + 300 * D("0.3") + 200 * D("0.5")),
    ],
    ids=str,
)  # fmt: skip
def test_cached_audio_is_billed_where_the_counts_leave_one_answer(counts, micro_usd) -> None:
    cost = cost_of(SPECIAL, output_tokens=0, **counts)
    assert cost == D("0.000001") * micro_usd


@pytest.mark.parametrize(
    "counts",
    [
        {"input_audio_tokens": 300, "cache_read_tokens": 600},
        {"input_audio_tokens": 300, "cache_read_tokens": 700},
        {"input_audio_tokens": 1, "cache_read_tokens": 999},
        {"input_image_tokens": 300, "cache_write_tokens": 600},
        {"input_audio_tokens": 1_000, "cache_write_tokens": 600},
    ],
    ids=str,
)
def test_cached_tokens_that_may_be_audio_are_not_guessed(counts: dict) -> None:
    assert cost_of(SPECIAL, **counts) == "overlapping_parts"


@pytest.mark.parametrize("cached", [0, 600, 1_000])
def test_images_without_a_rate_of_their_own_are_plain_input(cached: int) -> None:
    cost = cost_of(ALL, input_image_tokens=300, cache_read_tokens=cached, output_tokens=0)
    assert cost == (1_000 - cached) * D("0.0000025") + cached * D("0.00000125")


@pytest.mark.parametrize(
    ("key", "counts", "reason"),
    [
        ("output_image_mtok", {}, "untold_parts"),
        ("output_video_mtok", {}, "untold_parts"),
        ("output_citation_mtok", {}, "untold_parts"),
        ("input_video_mtok", {}, "untold_parts"),
        ("audio_hours", {}, "untold_parts"),
        ("output_image_mtok", {"output_tokens": 0}, D("0.0025")),
    ],
)
def test_parts_that_no_line_can_tell_are_not_billed_as_plain_tokens(key, counts, reason) -> None:
    prices = ModelPrice(input_mtok=D("2.5"), output_mtok=D(10), **{key: D(30)})
    assert cost_of(prices, **counts) == reason


def test_known_model_without_a_price_that_can_be_used_says_so() -> None:
    for prices in (ModelPrice(), ModelPrice(audio_hours=D("0.36")), ModelPrice(input_mchars=D(15))):
        assert cost_of(prices) == "no_usable_price"
        assert cost_of(prices, service_tier="batch") == "no_usable_price"


BATCH = PriceVariant(
    when={"processing": "batch"}, prices=ModelPrice(input_mtok=D(1), output_mtok=D(4))
)


@pytest.mark.parametrize(
    ("when", "tier"),
    [
        ({"processing": "batch"}, "batch"),
        ({"service_tier": "flex"}, "flex"),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": "fast"}, "fast"),
        ({"speed": "fast"}, "fast"),
    ],
    ids=str,
)
def test_service_tier_has_its_own_rates_and_no_other_tier_has_them(when: dict, tier: str) -> None:
    variants = [PriceVariant(when=when, prices=ModelPrice(input_mtok=D(1), output_mtok=D(4)))]
    tokens = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}
    for asked in (None, "default"):
        assert cost_of(ALL, variants=variants, service_tier=asked, **tokens) == D("12.5")
    for asked in ("batch", "flex", "priority", "fast"):
        cost = 5 if asked == tier else "service_tier"
        assert cost_of(ALL, variants=variants, service_tier=asked, **tokens) == cost


def test_class_that_a_service_tier_does_not_name_keeps_its_price() -> None:
    tokens = {"input_tokens": 1_000_000, "cache_read_tokens": 400_000, "output_tokens": 0}
    cost = cost_of(ALL, variants=[BATCH], service_tier="batch", **tokens)
    assert cost == D("0.6") * 1 + D("0.4") * D("1.25")


def test_service_tier_is_unpriced_before_its_first_date_and_dated_after() -> None:
    later = StartDateConstraint(start_date=date(2026, 10, 14))
    latest = StartDateConstraint(start_date=date(2026, 11, 1))
    variants = [
        PriceVariant({"processing": "batch"}, ModelPrice(input_mtok=D(3)), latest),
        PriceVariant({"processing": "batch"}, ModelPrice(input_mtok=D(1), output_mtok=D(4)), later),
    ]
    prices = [
        ConditionalPrice(prices=ALL, constraint=None),
        ConditionalPrice(
            prices=ModelPrice(input_mtok=D(8), output_mtok=D(8), cache_read_mtok=D(6)),
            constraint=StartDateConstraint(start_date=date(2026, 10, 20)),
        ),
    ]
    moment = timedelta(microseconds=1)
    tokens = {"input_tokens": 2_000_000, "cache_read_tokens": 1_000_000, "output_tokens": 0}
    for instant, cost in [
        (datetime(2026, 10, 14, tzinfo=UTC) - moment, "service_tier"),
        (datetime(2026, 10, 14, tzinfo=UTC), D("2.25")),  # batch input 1, standard cache read 1.25
        (datetime(2026, 10, 20, tzinfo=UTC) - moment, D("2.25")),
        (datetime(2026, 10, 20, tzinfo=UTC), D(7)),  # standard cache read is 6 from here
        (datetime(2026, 11, 1, tzinfo=UTC) - moment, D(7)),
        (datetime(2026, 11, 1, tzinfo=UTC), D(9)),  # the first variant that holds gives the price
    ]:
        asked = {"service_tier": "batch", "occurred_at": instant}
        assert cost_of(prices, variants=variants, **asked, **tokens) == cost, instant


def test_tier_by_input_size_holds_within_a_service_tier() -> None:
    prices = ModelPrice(input_mtok=tiered("2", (200, "4")), output_mtok=D(8))
    half = ModelPrice(input_mtok=tiered("1", (200, "2")), output_mtok=D(4))
    variants = [PriceVariant({"processing": "batch"}, half)]
    for count, rate in ((200, "0.000001"), (201, "0.000002")):
        tokens = {"input_tokens": count, "output_tokens": 1, "service_tier": "batch"}
        assert cost_of(prices, variants=variants, **tokens) == count * D(rate) + D("0.000004")


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
    assert cost_of(prices, **tokens) == D("3.002")


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
