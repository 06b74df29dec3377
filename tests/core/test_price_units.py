"""Audio, images, searches and service tiers, rate times units: golden cases by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices.types import ConditionalPrice, ModelPrice, PriceVariant, StartDateConstraint

from tests.pricing import ALL, cost_of, tiered

D = Decimal


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
