"""How far prices move between two versions, and which prices of the user's stand over the list."""

from datetime import UTC, datetime, time
from decimal import Decimal

import polars as pl
import pytest

from opsmeter_pipeline.contract.identifiers import find_shape
from opsmeter_pipeline.model.tables import MODEL_RESOLUTIONS, PRICE_CATALOGUE
from opsmeter_pipeline.price import NOTHING_COMPARABLE, price_events
from opsmeter_pipeline.price.in_force import join_cards
from opsmeter_pipeline.price.moves import find_moves
from opsmeter_pipeline.price.own import parse_prices
from opsmeter_pipeline.price.own_names import answer_names, resolve_own
from opsmeter_pipeline.price.own_rows import to_catalogue_rows
from tests.scenario import NOW, PRICED, event, events_of

D = Decimal
GPT = ("openai", "gpt-4o")


def row(usd: str, token_class: str = "uncached_input", **changes: object) -> dict[str, object]:
    """Return a row of the package's list: dollars for a million tokens of gpt-4o."""
    return {
        "price_id": "openai/gpt-4o@1#0", "source": "genai-prices", "source_version": "1",
        "source_sha256": "", "loaded_at": NOW, "provider_id": "openai", "model_id": "gpt-4o",
        "model_order": 0, "model_pattern": "", "token_class": token_class, "unit": "token",
        "price_usd_per_unit": D(usd) / 10**6, "currency": "USD", "priority": 0,
        "is_rounded": False,
    } | changes  # fmt: skip


def rows(*listed: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(listed), schema=PRICE_CATALOGUE.schema)


def answers(*names: tuple[str, ...]) -> pl.DataFrame:
    """Return resolutions of names: provider, model, called provider, provider id, model id."""
    keys = ("provider", "model", "called_provider_id", "provider_id", "model_id")
    told = [dict(zip(keys, name, strict=True)) | {"rule": "name"} for name in names]
    return pl.DataFrame(told, schema=MODEL_RESOLUTIONS.schema)


def cards(listed: pl.DataFrame, text: str = "", *, named: pl.DataFrame | None = None):
    """Return the cards of names, gpt-4o if not told, by a list and a prices.toml."""
    own = parse_prices(text.encode(), file="prices.toml", find_shape=find_shape)
    aliases = {alias.name: alias.means for alias in own.aliases}
    told = answers((*GPT, "openai", *GPT)) if named is None else named
    mine = resolve_own(told, own={price.name for price in own.prices}, aliases=aliases, version="v")
    prices = to_catalogue_rows(own, version="v", sha256="", loaded_at=NOW)
    return join_cards(listed, told, prices, mine)


def moves(former: pl.DataFrame, new: pl.DataFrame) -> list[tuple[object, ...]]:
    shown = ("token_class", "input_tokens", "former_usd_per_unit", "new_usd_per_unit")
    return find_moves(former, new).select(shown).rows()


LIST = rows(row("2.5"), row("10", "output"), row("7", "input_character", unit="character"))


@pytest.mark.parametrize(
    ("former", "new", "moved"),
    [
        ("10", "10", False),
        ("10", "14.999999999999", False),
        ("10", "15", True),
        ("10", "20", True),
        ("10", "5.000000000001", False),
        ("10", "5", True),
        ("10", "0", True),
        ("0", "0", False),
        ("0", "0.000000000001", True),
        ("0.000000000002", "0.000000000003", True),
    ],
)
def test_a_price_moves_from_half_of_it_up_or_down(former: str, new: str, *, moved: bool) -> None:
    one, other = (cards(rows(row("1"), row(usd, "output"))) for usd in (former, new))
    per_unit = tuple(D(usd) / 10**6 for usd in (former, new))
    expected = [("output, reasoning", 1, *per_unit)] if moved else []
    assert moves(one, other) == expected


def test_a_price_that_goes_is_a_move_and_one_that_comes_is_none() -> None:
    listed, none = cards(LIST), cards(rows())
    assert moves(none, listed) == []
    gone = moves(listed, none)
    assert {(old, new) for *_, old, new in gone} >= {(D("0.0000025"), None), (D("0.00001"), None)}


def test_a_move_of_a_tier_a_date_or_a_window_is_found_where_it_holds() -> None:
    tier = {"tier_threshold_tokens": 200, "tier_operator": ">", "tier_scope": "whole_request",
            "tier_count": "input_tokens", "price_id": "t"}  # fmt: skip
    assert moves(
        cards(rows(row("1"), row("2", **tier))), cards(rows(row("1"), row("3", **tier)))
    ) == [(ALL_INPUT, 201, D("0.000002"), D("0.000003"))]
    dated = {"valid_from": datetime(2027, 1, 1, tzinfo=UTC), "price_id": "d", "priority": 1}
    found = find_moves(cards(rows(row("1"))), cards(rows(row("1"), row("8", **dated))))
    assert found["occurred_at"].to_list() == [datetime(2027, 1, 1, tzinfo=UTC)]
    window = {"window_start": time(22), "window_end": time(6), "price_id": "w", "priority": 1}
    found = find_moves(
        cards(rows(row("4"), row("2", **window))), cards(rows(row("4"), row("1", **window)))
    )
    assert [one.time() for one in found["occurred_at"]] == [time(0)]


ALL_INPUT = "uncached_input, cache_read, cache_write, cache_write_1h, input_image"


def test_own_prices_are_compared_with_what_they_replace() -> None:
    own = '[[price]]\nprovider="openai"\nmodel="gpt-4o"\ninput_usd_per_mtok="{}"\n'
    own += 'output_usd_per_mtok="10"\n'
    assert moves(cards(LIST), cards(LIST, own.format("1.26"))) == []
    assert moves(cards(LIST), cards(LIST, own.format("25"))) == [
        (ALL_INPUT, 1, D("0.0000025"), D("0.000025"))
    ]
    assert moves(cards(LIST, own.format("1")), cards(LIST)) == [
        (ALL_INPUT, 1, D("0.000001"), D("0.0000025"))
    ]
    raised = rows(row("20"), row("10", "output"))
    assert moves(cards(LIST, own.format("1")), cards(raised, own.format("1"))) == []


def test_a_tenants_price_moves_for_that_tenant_only() -> None:
    own = '[[price]]\nprovider="openai"\nmodel="gpt-4o"\ninput_usd_per_mtok=1\n'
    own += 'output_usd_per_mtok=10\ntenant="t_1f6a"\nenvironment="prod"\n'
    found = find_moves(cards(LIST), cards(LIST, own))
    assert found.select("environment", "tenant_id").rows() == [("prod", "t_1f6a")]


def priced(listed_cards: pl.DataFrame, *events: dict[str, object]) -> list[tuple[object, object]]:
    numbered = [one | {"seq": seq} for seq, one in enumerate(events)]
    staged = events_of(*numbered).drop(PRICED)
    return (
        price_events(staged, listed_cards, comparables=NOTHING_COMPARABLE)
        .select("cost_usd", "price_id")
        .rows()
    )


OVERRIDES = """
[[price]]
provider = "openai"
model = "gpt-4o"
input_usd_per_mtok = "2"
output_usd_per_mtok = "8"
valid_from = 2026-07-01
[[price]]
provider = "openai"
model = "gpt-4o"
environment = "dev"
input_usd_per_mtok = "0"
output_usd_per_mtok = "0"
[[price]]
provider = "openai"
model = "gpt-4o"
tenant = "t_9f2c4e"
input_usd_per_mtok = "1"
output_usd_per_mtok = "4"
[[price.tier]]
above_input_tokens = 2000
output_usd_per_mtok = "6"
"""


def test_the_narrower_own_price_counts_and_the_list_elsewhere() -> None:
    before = {"occurred_at": datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC)}
    tokens = {"input_tokens": 1000, "output_tokens": 100}
    asked = [
        ({}, 1000 * D("0.000002") + 100 * D("0.000008")),
        (before, 1000 * D("0.0000025") + 100 * D("0.00001")),
        ({"environment": "dev"}, D(0)),
        (before | {"environment": "dev"}, D(0)),
        ({"tenant_id": "t_9f2c4e"}, 1000 * D("0.000001") + 100 * D("0.000004")),
        ({"tenant_id": "t_9f2c4e", "environment": "dev"}, D("0.001") + D("0.0004")),
        ({"tenant_id": "t_9f2c4e", "input_tokens": 2000}, D("0.002") + D("0.0004")),
        ({"tenant_id": "t_9f2c4e", "input_tokens": 2001}, D("0.002001") + D("0.0006")),
    ]
    found = priced(cards(LIST, OVERRIDES), *(event(**tokens | changes) for changes, _ in asked))
    assert [cost for cost, _ in found] == [cost for _, cost in asked]
    ids = [price_id.split("@")[1] for _, price_id in found]
    expected = ["#1", None, "#2", "#2", "#3", "#3", "#3", "#3>2000"]
    assert ids == [f"prices.toml-v{one}" if one else "1#0" for one in expected]


def test_an_own_price_is_the_called_providers_and_an_alias_is_its_models() -> None:
    text = """
    [[price]]
    provider = "azure"
    model = "gpt-4o"
    input_usd_per_mtok = "3"
    [[price]]
    provider = "acme"
    model = "house-1"
    input_usd_per_mtok = "0.5"
    [[alias]]
    provider = "azure"
    model = "prod-chat"
    means_provider = "acme"
    means_model = "house-1"
    [[alias]]
    provider = "acme"
    model = "resold"
    means_provider = "openai"
    means_model = "gpt-4o"
    """
    asked = answers(
        ("openai", "gpt-4o", "openai", *GPT),
        ("azure", "gpt-4o", "azure", *GPT),
        ("Azure.AI.OpenAI", "gpt-4o-2024-08-06", "azure", *GPT),
        ("acme", "house-1", None, None, None),
    )
    names = pl.DataFrame(
        [("openai", "gpt-4o"), ("azure", "gpt-4o"), ("Azure.AI.OpenAI", "gpt-4o-2024-08-06"),
         ("acme", " House-1"), ("azure", "Prod-Chat"), ("acme", "resold"), ("acme", "house-2")],
        schema=["provider", "model"], orient="row",
    )  # fmt: skip
    own = parse_prices(text.encode(), file="prices.toml", find_shape=find_shape)
    aliases = {alias.name: alias.means for alias in own.aliases}
    asked = pl.concat([asked, answers(("acme", " House-1", None, None, None),
                                      ("acme", "house-2", None, None, None))])  # fmt: skip
    named = answer_names(names, asked, aliases=aliases)
    assert named.height == names.height
    found = priced(
        cards(LIST, text, named=named),
        *(event(provider=p, model=m, input_tokens=1000, output_tokens=0) for p, m in names.rows()),
    )
    usd = ["0.0025", "0.003", "0.003", "0.0005", "0.0005", "0.0025", None]
    assert [cost for cost, _ in found] == [D(one) if one else None for one in usd]


def test_an_own_price_is_not_guessed_for_a_name_that_names_two_sellers() -> None:
    own = '[[price]]\nprovider="openai"\nmodel="gpt-4o"\ninput_usd_per_mtok=1\n'
    told = answers(("openai", "azure/gpt-4o", None, None, None)).with_columns(
        rule=pl.lit("ambiguous")
    )
    named = event(model="azure/gpt-4o", input_tokens=1000, output_tokens=0)
    assert priced(cards(LIST, own, named=told), named) == [(None, None)]
