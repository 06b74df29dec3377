"""Between what and what an event without a price may cost: rates times tokens, by hand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from genai_prices import data_snapshot
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.model.tables import MODEL_RESOLUTIONS, PRICE_CATALOGUE
from opsmeter_pipeline.model.unpriced import STEPS
from opsmeter_pipeline.price import build_cards, build_comparables, flatten_prices, price_events
from opsmeter_pipeline.price.bounds import TIER_FACTORS
from opsmeter_pipeline.price.own import parse_prices
from opsmeter_pipeline.price.own_names import match_names
from opsmeter_pipeline.storage.price_book import PriceBook
from tests.core.test_price_laws import usages
from tests.scenario import NOW, PRICED, event, events_of

D = Decimal
BOUNDS = ("unpriced_low_usd", "unpriced_high_usd")
NEXT_MONTH = NOW + timedelta(days=30)


def row(model: str, token_class: str, usd: str, **changes: Any) -> dict[str, Any]:
    """Return a row of the catalogue: dollars per token of a model of the provider `p`."""
    provider, _, name = model.rpartition("/")
    return (
        dict.fromkeys(PRICE_CATALOGUE.schema)
        | {"price_id": f"{model}{sorted(changes.items())}", "provider_id": provider or "p",
           "model_id": name, "priority": 0, "token_class": token_class, "unit": "token",
           "price_usd_per_unit": D(usd), "is_rounded": False}
        | changes
    )  # fmt: skip


def flat(model: str, given: str, made: str, **changes: Any) -> list[dict[str, Any]]:
    return [row(model, "uncached_input", given, **changes), row(model, "output", made, **changes)]


CATALOGUE = [
    *flat("cheap", "2", "3"),
    *flat("dear", "20", "50"),
    *flat("dear", "40", "60", tier_threshold_tokens=100, tier_operator=">",
          tier_scope="whole_request", tier_count="input_tokens"),
    row("dear", "cache_read", "1"),
    *flat("coming", "100", "100", valid_from=NEXT_MONTH),
    *flat("q/other", "1", "1"), row("q/other", "web_search", "7"),
    row("film", "output_image", "9"), *flat("film", "5", "5"),
    row("hours", "audio", "3", unit="hour"),
]  # fmt: skip


def bounded(
    *events: dict[str, Any], catalogue: Any = (), own: Any = (), **resolved: Any
) -> list[Any]:
    """Return the reason and both bounds of events of the name `p/x`, resolved like this."""
    known = {"provider": "p", "model": "x", "rule": "unknown_model", "comparable_providers": "p"}
    names = pl.DataFrame([known | resolved], schema=MODEL_RESOLUTIONS.schema)
    listed = pl.DataFrame([*CATALOGUE, *catalogue], schema=PRICE_CATALOGUE.schema)
    mine = pl.DataFrame([*own], schema=PRICE_CATALOGUE.schema)
    frame = events_of(*({**event(provider="p", model="x"), **one} for one in events)).drop(PRICED)
    cards = build_cards(pl.concat([listed, mine]), names)
    comparables = build_comparables(listed, mine, names)
    priced = price_events(frame, cards, comparables=comparables)
    assert (priced["cost_usd"].is_null() | priced[BOUNDS[1]].is_null()).all()
    return priced.select("unpriced_reason", *BOUNDS).rows()


def bounds_of(*, resolved: Any = None, catalogue: Any = (), own: Any = (), **told: Any) -> Any:
    ((_, *bounds),) = bounded(told, catalogue=catalogue, own=own, **(resolved or {}))
    return tuple(bounds)


def named(model: str) -> dict[str, str]:
    return {"called_provider_id": "p", "provider_id": "p", "model_id": model, "rule": "equals"}


TEN = {"input_tokens": 10, "output_tokens": 4}


def test_an_unknown_model_costs_between_the_cheapest_and_the_dearest_of_its_provider() -> None:
    assert bounds_of(**TEN) == (10 * 2 + 4 * 3, 10 * 20 + 4 * 50)


def test_no_event_with_a_price_has_bounds() -> None:
    assert bounded(TEN, **named("cheap")) == [(None, None, None)]


@pytest.mark.parametrize(("tokens", "rate"), [(99, 20), (100, 20), (101, 40)])
def test_the_dearest_tier_counts_for_requests_large_enough_for_it(tokens: int, rate: int) -> None:
    assert bounds_of(input_tokens=tokens, output_tokens=0) == (tokens * 2, tokens * rate)


def test_a_price_counts_from_its_first_instant_on() -> None:
    low = 10 * 2 + 4 * 3
    before = bounds_of(**TEN, occurred_at=NEXT_MONTH - timedelta(microseconds=1))
    assert before == (low, 10 * 20 + 4 * 50)
    assert bounds_of(**TEN, occurred_at=NEXT_MONTH) == (low, 10 * 100 + 4 * 100)
    assert bounds_of(**TEN, occurred_at=datetime(1970, 1, 1, tzinfo=UTC)) == before


def test_cache_reads_are_bounded_by_themselves_and_cost_input_where_nobody_lists_them() -> None:
    # cheap has no price for reads, so they cost its input: 2; dear has 1; film has its input: 5
    found = bounds_of(input_tokens=10, cache_read_tokens=6, output_tokens=0)
    assert found == (4 * 2 + 6 * 1, 4 * 20 + 6 * 5)


def test_a_provider_nobody_knows_is_held_against_the_whole_catalogue() -> None:
    found = bounds_of(resolved={"comparable_providers": None}, **TEN)
    assert found == (10 * 1 + 4 * 1, 10 * 20 + 4 * 50)


def test_a_class_that_the_provider_does_not_price_takes_the_rates_of_all() -> None:
    found = bounds_of(web_searches=2, **TEN)
    assert found == (10 * 2 + 4 * 3 + 2 * 7, 10 * 20 + 4 * 50 + 2 * 7)


def test_a_class_that_nobody_prices_leaves_the_event_unbounded() -> None:
    assert bounds_of(output_audio_tokens=1, **TEN) == (None, None)


def test_an_ambiguous_name_costs_what_one_of_its_candidates_does() -> None:
    resolved = {"rule": "ambiguous", "candidates": "p/cheap, q/other"}
    assert bounds_of(resolved=resolved, **TEN) == (10 * 1 + 4 * 1, 10 * 2 + 4 * 3)
    assert bounds_of(resolved=resolved | {"candidates": "p/cheap"}, **TEN) == (32, 32)


def test_a_candidate_without_any_price_may_be_free() -> None:
    resolved = {"rule": "ambiguous", "candidates": "p/cheap, p/gift"}
    assert bounds_of(resolved=resolved, **TEN) == (0, 10 * 20 + 4 * 50)


def test_a_fine_tuned_model_costs_its_base_at_least_and_the_dearest_model_at_most() -> None:
    resolved = {"rule": "fine_tuned", "candidates": "p/film"}
    assert bounds_of(resolved=resolved, **TEN) == (10 * 5 + 4 * 5, 10 * 20 + 4 * 50)


def test_a_known_model_without_any_price_may_be_free_and_one_by_the_hour_is_unbounded() -> None:
    assert bounded(TEN, **named("gift")) == [("no_usable_price", 0, 10 * 20 + 4 * 50)]
    assert bounded(TEN, **named("hours")) == [("no_usable_price", None, None)]


def test_what_the_card_prices_costs_just_that() -> None:
    ((reason, low, high),) = bounded({**TEN, "web_searches": 2}, **named("dear"))
    assert (reason, low, high) == ("special_units", 10 * 20 + 4 * 50, 10 * 20 + 4 * 50 + 2 * 7)


def test_what_a_known_models_list_does_not_name_may_be_free() -> None:
    # Embeddings are listed without a price for output, and nobody bills them for any.
    embedding = [row("vector", "uncached_input", "5")]
    found = bounded(TEN, catalogue=embedding, **named("vector"))
    assert found == [("no_token_price", 10 * 5, 10 * 5 + 4 * 50)]


def test_output_of_which_some_may_be_pictures_is_bounded_by_both_rates() -> None:
    assert bounded(TEN, **named("film")) == [("untold_parts", 10 * 5 + 4 * 5, 10 * 5 + 4 * 9)]


def test_reads_that_may_be_of_audio_are_bounded_by_all_rates_they_may_have() -> None:
    rates = {"cache_read": "1", "input_audio": "30", "input_audio_cache_read": "2"}
    voice = [*flat("voice", "5", "6"), *(row("voice", *rate) for rate in rates.items())]
    told = {"input_tokens": 10, "cache_read_tokens": 4, "input_audio_tokens": 3, "output_tokens": 1}
    found = bounded(told, catalogue=voice, **named("voice"))
    assert found == [("overlapping_parts", 10 * 1 + 6, 10 * 30 + 6)]


@pytest.mark.parametrize("tier", sorted(TIER_FACTORS))
def test_a_tier_without_a_price_costs_the_standard_price_times_its_factors(tier: str) -> None:
    least, most = TIER_FACTORS[tier]
    found = bounded({**TEN, "service_tier": tier}, **named("cheap"))
    assert found == [("service_tier", 32 * least, 32 * most)]


def test_a_price_that_does_not_hold_then_bounds_all_the_same() -> None:
    later = [*flat("house", "8", "9", valid_from=NEXT_MONTH)]
    assert bounded(TEN, catalogue=later, **named("house")) == [
        ("no_price_then", 10 * 8 + 4 * 9, 10 * 8 + 4 * 9)
    ]


def test_a_contract_says_nothing_about_other_models() -> None:
    own = flat("mine", "0.001", "900")
    assert bounds_of(own=own, **TEN) == bounds_of(**TEN)
    theirs = [*flat("mine", "7", "7", tenant_id="t-9")]
    assert bounded(TEN, own=theirs, **named("mine")) == [("no_price_then", 14 * 7, 14 * 7)]


def test_a_marginal_tier_widens_what_its_classes_may_cost() -> None:
    steps = [*flat("steps", "2", "2"), row("steps", "uncached_input", "8", price_id="steps[]",
             tier_threshold_tokens=5, tier_operator=">", tier_scope="marginal",
             tier_count="class_tokens")]  # fmt: skip
    resolved = {"rule": "ambiguous", "candidates": "p/steps"}
    told = {"input_tokens": 10, "cache_read_tokens": 3, "output_tokens": 0}
    assert bounds_of(resolved=resolved, catalogue=steps, **told) == (10 * 2, 10 * 8)


def test_events_keep_their_order_and_each_its_own_bounds() -> None:
    rows = [{"input_tokens": n, "output_tokens": 0, "occurred_at": NOW - timedelta(days=n % 3)}
            for n in range(200)]  # fmt: skip
    found = bounded(*rows)
    assert [low for _, low, _ in found] == [2 * n for n in range(200)]
    assert [high for *_, high in found] == [n * (20 if n <= 100 else 40) for n in range(200)]


ASKED = [
    ("openai", "gpt-4o"), ("openai", "gpt4o"), ("openai", "acme-13b"), ("acme", "x-1"),
    ("openai", "ft:gpt-4o-mini:acme::1"), ("openai", "whisper-1"), ("google", "no-such-1"),
    ("google", "gemini-2.5-flash-image"), ("anthropic", "claude-sonnet-4-5"),
]  # fmt: skip


@pytest.fixture(scope="module")
def installed() -> tuple[pl.DataFrame, Any, pl.DataFrame]:
    catalogue = PriceBook().catalogue(now=NOW)
    names = PriceBook().resolve(ASKED, now=NOW)
    none = PRICE_CATALOGUE.empty()
    return build_cards(catalogue, names), build_comparables(catalogue, none, names), catalogue


@given(told=usages(), name=st.sampled_from(ASKED), tier=st.sampled_from([None, "batch", "fast"]))
def test_bounds_are_never_negative_or_crossed_and_go_together(installed, told, name, tier) -> None:
    one = event(provider=name[0], model=name[1], service_tier=tier, **told)
    priced = price_events(events_of(one).drop(PRICED), installed[0], comparables=installed[1])
    found = priced.row(0, named=True)
    low, high = (found[bound] for bound in BOUNDS)
    assert (low is None) == (high is None)
    assert low is None or (found["cost_usd"] is None and 0 <= low <= high)


def test_no_tier_of_the_installed_catalogue_is_outside_its_factors(installed) -> None:
    """Held against the standard prices in force while the tier's price is; 10^-18 is rounding."""
    catalogue = installed[2]
    place = ["provider_id", "model_id", "token_class", "tier_threshold_tokens"]
    tiers = catalogue.filter(pl.col("service_tier").is_not_null())
    standard = catalogue.filter(pl.col("service_tier").is_null())
    both = tiers.join(standard, on=place, nulls_equal=True, suffix="_standard").filter(
        (pl.col("valid_from") < pl.col("valid_to_standard")).fill_null(value=True),
        (pl.col("valid_from_standard") < pl.col("valid_to")).fill_null(value=True),
    )
    assert both.height > 1_000
    for tier, asked, usual in both.select(
        "service_tier", "price_usd_per_unit", "price_usd_per_unit_standard"
    ).iter_rows():
        least, most = TIER_FACTORS[tier]
        assert usual * least - asked <= D("1E-18") >= asked - usual * most


def entry_in(suggestion: str) -> str:
    return suggestion[suggestion.index("[[") :]


def test_a_suggested_alias_can_be_put_into_the_file_and_gives_the_name_its_price() -> None:
    book = PriceBook()
    asked = pl.DataFrame({"provider": ["openai", "acme"], "model": ["GPT4o", "gpt-4o"]})
    answers = book.resolve(asked.iter_rows(), now=NOW)
    content = "\n".join(map(entry_in, answers["suggestion"]))
    own = parse_prices(content.encode(), file="prices.toml", find_shape=lambda _: None)
    aliases = {alias.name: alias.means for alias in own.aliases}
    matched = match_names(asked, lambda names: book.resolve(names.iter_rows(), now=NOW),
                          own=set(), aliases=aliases, version="1")  # fmt: skip
    assert matched.answers["provider_id"].to_list() == ["openai", "openai"]
    assert matched.answers["model_id"].to_list() == ["gpt-4o", "gpt-4o"]


@pytest.mark.parametrize("extra", ["", *(lines for _, lines in STEPS.values() if lines)])
def test_a_suggested_price_is_taken_once_it_has_numbers_and_refused_before(extra: str) -> None:
    odd = 'a"b\\c\x7fd'
    (suggestion,) = PriceBook().resolve([("openai", odd)], now=NOW)["suggestion"]
    text = f"{entry_in(suggestion)}\n{extra}"
    with pytest.raises(Exception, match="input_usd_per_mtok"):
        parse_prices(text.encode(), file="prices.toml", find_shape=lambda _: None)
    text = text.replace('service_tier = "?"', 'service_tier = "batch"').replace('"?"', '"1.5"')
    own = parse_prices(text.encode(), file="prices.toml", find_shape=lambda _: None)
    assert [price.name for price in own.prices] == [("openai", odd)]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (("openai", "gpt-6"), "Nearest is openai/gpt-5, another version. Upgrade genai-prices"),
        (("openai", "acme-13b"), "No name is like it. Give it a price"),
        (("openai", "ft:gpt-4o-mini:x::1"), "Fine-tuned: give it the price of your contract"),
        (("litellm", "house"), "Have the producer send the provider behind the gateway"),
        (("openai", "vertex_ai/claude-opus-4"), "Have the producer send the provider that bills"),
        (("openai", "gpt-4o"), "Known as openai/gpt-4o."),
    ],
)
def test_each_name_has_the_step_that_fits_it(name: tuple[str, str], said: str) -> None:
    (suggestion,) = PriceBook().resolve([name], now=NOW)["suggestion"]
    assert suggestion.startswith(said)


def test_of_very_many_unknown_names_only_the_first_are_searched_for() -> None:
    asked = [("openai", f"gpt4o{'-' * n}") for n in range(203)]
    suggestions = PriceBook().resolve(asked, now=NOW)["suggestion"]
    unsearched = [one for one in suggestions if one.startswith("New with so many others")]
    assert len(unsearched) == 3
    assert all(entry_in(one).startswith("[[price]]") for one in unsearched)


def test_a_flattened_catalogue_has_no_price_of_zero() -> None:
    """So that the least a model may cost is more than nothing, unless it has no price at all."""
    providers = data_snapshot.get_snapshot().providers
    prices = flatten_prices(providers, version="1", sha256="", loaded_at=NOW)
    assert (prices["price_usd_per_unit"] > 0).all()
