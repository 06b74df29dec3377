"""The installed price list as rows, how callers spell names, and costs as the package has them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

import polars as pl
import pytest
from genai_prices import Usage, data_snapshot
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, Provider

from opsmeter_pipeline.model.tables import PRICE_CATALOGUE
from opsmeter_pipeline.price import (
    build_cards,
    flatten_prices,
    price_events,
    provider_id_of,
    spelling_of,
)
from tests.scenario import NOW, event, events_of

D = Decimal
PLAIN_KEYS = {
    "input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok",
    "requests_kcount",
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "kept", "is_rounded"),
    [
        ("0.18000000000000002", "0.00000018", True),
        ("0.041666666666666664", "0.000000041666666667", True),
        ("0.0000000000015", "0.000000000000000002", True),
        ("0.0000000000025", "0.000000000000000002", True),
        ("0.000000000001", "0.000000000000000001", False),
        ("0.1800000000000000", "0.00000018", False),
    ],
)
def test_float_artefacts_are_rounded_half_even_and_marked(told, kept, is_rounded) -> None:
    model = ModelInfo(id="m", match=ClauseEquals("m"), prices=ModelPrice(input_mtok=D(told)))
    provider = Provider(id="p", name="P", api_pattern="", models=[model])
    row = flatten_prices([provider], version="1", sha256="", loaded_at=NOW).row(0, named=True)
    assert (row["price_usd_per_unit"], row["is_rounded"]) == (D(kept), is_rounded)


@pytest.mark.parametrize(
    ("provider", "catalogue_id"),
    [("openai", "openai"), (" OpenAI ", "openai"), ("azure.ai.openai", "azure"),
     ("Azure_OpenAI", "azure"), ("aws.bedrock", "aws"), ("gcp.vertex_ai", "google"),
     ("mistralai", "mistral"), ("\uff4f\uff50\uff45\uff4e\uff41\uff49", "openai"),
     ("acme", "acme")],
)  # fmt: skip
def test_providers_are_known_by_their_usual_names(provider: str, catalogue_id: str) -> None:
    assert provider_id_of(provider) == catalogue_id


@pytest.mark.parametrize(
    ("model", "provider", "spelling"),
    [("GPT-4o ", "openai", "gpt-4o"), ("openai/gpt-4o", "OpenAI", "gpt-4o"),
     ("models/gemini-2.5-pro", "google", "gemini-2.5-pro"), ("azure/gpt-4o", "openai", "gpt-4o"),
     ("meta-llama/Llama-3", "together", "meta-llama/llama-3"), ("x", "x", "x")],
)  # fmt: skip
def test_models_lose_the_prefixes_of_gateways(model: str, provider: str, spelling: str) -> None:
    assert spelling_of(model, provider=provider) == spelling


@pytest.fixture(scope="module")
def catalogue() -> pl.DataFrame:
    providers = data_snapshot.get_snapshot().providers
    return flatten_prices(providers, version="1", sha256="", loaded_at=NOW)


def test_installed_list_is_flattened_with_28_rounded_rows(catalogue: pl.DataFrame) -> None:
    assert catalogue.schema == PRICE_CATALOGUE.schema
    assert catalogue["is_rounded"].sum() == 28
    assert (catalogue["price_usd_per_unit"] >= 0).all()
    key = ["price_id", "token_class"]
    assert catalogue.select(key).is_unique().all()


def is_plain(model: ModelInfo) -> bool:
    entries = model.prices if isinstance(model.prices, list) else [model]
    keys = [{k for k, v in vars(one.prices).items() if v is not None} for one in entries]
    return all(one <= PLAIN_KEYS and {"input_mtok", "output_mtok"} <= one for one in keys)


def test_cost_equals_the_price_package_for_sampled_models_usages_and_dates(
    catalogue: pl.DataFrame,
) -> None:
    rounded = set(catalogue.filter("is_rounded").select("provider_id", "model_id").rows())
    plain = [
        (provider, model)
        for provider in data_snapshot.get_snapshot().providers
        for model in provider.models
        if is_plain(model) and (provider.id, model.id) not in rounded
    ]
    random = Random(7)
    events, expected = [], []
    for provider, model in random.sample(plain, 600):
        usage = sample_usage(random)
        instant = sample_instant(random)
        events.append(
            event(seq=len(events), provider=provider.id, model=model.id, occurred_at=instant)
            | {name: value for name, value in usage.items() if value is not None}
        )
        asked = {name: value or 0 for name, value in usage.items()}
        answer = model.calc_price(Usage(**asked), provider, genai_request_timestamp=instant)
        expected.append(answer.total_price)
    names = pl.DataFrame([(p.id, m.id, p.id, m.id) for p, m in plain], orient="row",
                         schema=["provider", "model", "provider_id", "model_id"])  # fmt: skip
    unpriced = events_of(*events).drop("cost_usd", "price_id", "unpriced_reason")
    priced = price_events(unpriced, build_cards(catalogue, names))
    assert priced["cost_usd"].to_list() == expected
    assert len({(row["provider"], row["model"]) for row in events}) == 600


def sample_usage(random: Random) -> dict[str, int | None]:
    total = random.choice([0, 1, 999, 100_000, 128_001, 200_000, 200_001, 272_001, 2_000_000])
    read = random.randint(0, total)
    write = random.randint(0, total - read)
    return {
        "input_tokens": total,
        "cache_read_tokens": random.choice([None, read]) if not write else read,
        "cache_write_tokens": write,
        "cache_write_1h_tokens": random.choice([0, write]),
        "output_tokens": random.choice([0, 1, 64_000]) if total else 0,
    }


def sample_instant(random: Random) -> datetime:
    days = random.choice([0, 400, 800, 1_000, 1_063])
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=days, seconds=random.randrange(86_400))
