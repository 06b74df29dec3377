"""The installed price list as rows, and costs as the package itself, or DuckDB, works them out."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import polars as pl
import pytest
from genai_prices import Usage, data_snapshot
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice, Provider

from opsmeter_pipeline.model.tables import PRICE_CATALOGUE
from opsmeter_pipeline.model.unpriced import REASONS
from opsmeter_pipeline.price import NOTHING_COMPARABLE, build_cards, flatten_prices, price_events
from tests.scenario import NOW, PRICED, event, events_of

D = Decimal
USABLE = {
    "input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok",
    "input_audio_mtok", "cache_audio_read_mtok", "input_image_mtok", "cache_image_read_mtok",
    "output_reasoning_mtok", "output_audio_mtok", "web_searches_kcount", "requests_kcount",
}  # fmt: skip
UNTOLD_INPUT = {"input_video_mtok", "audio_hours", "input_audio_hours"}
UNTOLD_OUTPUT = {"output_image_mtok", "output_video_mtok", "output_citation_mtok", "audio_hours"}
CONTEXTS = {
    "batch": {"processing": "batch"}, "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"}, "fast": {"service_tier": "fast", "speed": "fast"},
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


@pytest.fixture(scope="module")
def catalogue() -> pl.DataFrame:
    providers = data_snapshot.get_snapshot().providers
    return flatten_prices(providers, version="1", sha256="ab", loaded_at=NOW)


@pytest.fixture(scope="module")
def models() -> list[tuple[Provider, ModelInfo]]:
    return [(p, m) for p in data_snapshot.get_snapshot().providers for m in p.models]


@pytest.fixture(scope="module")
def cards(catalogue: pl.DataFrame, models: list) -> pl.DataFrame:
    """Return the cards of every model, each called by its own ids."""
    names = [(p.id, m.id, p.id, p.id, m.id, "equals") for p, m in models]
    columns = ["provider", "model", "called_provider_id", "provider_id", "model_id", "rule"]
    return build_cards(catalogue, pl.DataFrame(names, orient="row", schema=columns))


def test_installed_list_is_flattened_with_28_rounded_rows(catalogue: pl.DataFrame) -> None:
    assert catalogue.schema == PRICE_CATALOGUE.schema
    assert catalogue["is_rounded"].sum() == 28
    assert (catalogue["price_usd_per_unit"] >= 0).all()
    key = ["price_id", "token_class", "tier_threshold_tokens"]
    assert catalogue.select(key).is_unique().all()
    required = [column.name for column in PRICE_CATALOGUE.columns if not column.nullable]
    assert sum(catalogue.select(required).null_count().row(0)) == 0


def test_every_model_costs_what_the_package_says_or_an_explained_nothing(
    models: list, cards: pl.DataFrame, catalogue: pl.DataFrame
) -> None:
    random = Random(7)
    events, asked = [], []
    for provider, model in models * 3:
        usage, instant = sample_usage(random), sample_instant(random)
        tier = random.choice([None, None, None, "default", "batch", "flex", "priority", "fast"])
        told = {"occurred_at": instant, "service_tier": tier}
        names = {"seq": len(events), "provider": provider.id, "model": model.id}
        events.append(event() | names | told | usage)
        asked.append((provider, model, usage, instant, tier))
    unpriced = events_of(*events).drop(PRICED)
    priced = price_events(unpriced, cards, comparables=NOTHING_COMPARABLE)
    rounded = set(catalogue.filter("is_rounded")["price_id"])
    met: Counter[str] = Counter()
    for row, question in zip(priced.iter_rows(named=True), asked, strict=True):
        expected = expect(*question)
        if row["price_id"] in rounded:  # each unit is off by at most half of 10^-18 dollars
            tokens = row["input_tokens"] + row["output_tokens"]
            assert abs(row["cost_usd"] - expected) <= tokens * D("0.5e-18"), row
        else:
            assert (row["unpriced_reason"] or row["cost_usd"]) == expected, (row, question[4])
        met[row["unpriced_reason"] or "priced"] += 1
    assert met["priced"] > 2_000
    by_name = {"unknown_model", "ambiguous_model", "fine_tuned_model", "no_price_then"}
    assert set(met) - {"priced"} == set(REASONS) - by_name


def expect(
    provider: Provider, model: ModelInfo, usage: dict[str, int], at: datetime, tier: str | None
) -> Decimal | str:
    """Return the package's cost, or which explained difference (docs/prices.md) there is."""
    context = CONTEXTS.get(tier or "")
    if not any(USABLE & set(known(one)) for one in all_prices(model)):
        return "no_usable_price"
    if context and not any(
        known(variant.prices)
        and variant.when.items() <= context.items()
        and (variant.constraint is None or variant.constraint.active(at))
        for variant in model.price_variants or ()
    ):
        return "service_tier"
    prices = known(model.get_prices(at, context))
    return doubt(prices, usage) or model.calc_price(
        Usage(**as_the_package_counts(usage, prices)), provider,
        genai_request_timestamp=at, price_context=context,
    ).total_price  # fmt: skip


def doubt(prices: dict[str, Any], usage: dict[str, int]) -> str | None:
    """Return why these prices cannot price the usage without a guess."""
    count = Counter(usage)
    if (count["input_tokens"] and UNTOLD_INPUT & set(prices)) or (
        count["output_tokens"] and UNTOLD_OUTPUT & set(prices)
    ):
        return "untold_parts"
    image = count["input_image_tokens"] if "input_image_mtok" in prices else 0
    if (count["input_audio_tokens"] + image) and (
        count["cache_read_tokens"] + count["cache_write_tokens"]
    ):
        return "overlapping_parts"
    needed = {
        "input_audio_mtok": count["input_audio_tokens"],
        "output_audio_mtok": count["output_audio_tokens"],
        "web_searches_kcount": count["web_searches"],
    }
    if any(units and key not in prices for key, units in needed.items()):
        return "special_units"
    plain_output = count["output_tokens"] - count["output_audio_tokens"]
    is_write_1h_unknown = "cache_write_mtok" in prices and "cache_write_1h_mtok" not in prices
    if (
        ("output_mtok" not in prices and plain_output)
        or ("input_mtok" not in prices and count["input_tokens"])
        or (is_write_1h_unknown and count["cache_write_1h_tokens"])
    ):
        return "no_token_price"
    return None


def as_the_package_counts(usage: dict[str, int], prices: dict[str, Any]) -> dict[str, int]:
    """Return the usage in the package's words, where only priced parts are told."""
    renamed = {"reasoning_tokens": "output_reasoning_tokens"}
    told = {renamed.get(name, name): units for name, units in usage.items()}
    if "input_image_mtok" not in prices:
        told.pop("input_image_tokens", None)
    return told


def known(prices: Any) -> dict[str, Any]:
    return {key: price for key, price in vars(prices).items() if price is not None}


def all_prices(model: ModelInfo) -> list[Any]:
    listed = model.prices if isinstance(model.prices, list) else [model]
    return [one.prices for one in listed]


def sample_usage(random: Random) -> dict[str, int]:
    total = random.choice([0, 1, 999, 128_001, 200_000, 200_001, 272_000, 272_001, 2_000_000])
    output = random.choice([0, 1, 64_000]) if total else 0
    usage = {"input_tokens": total, "output_tokens": output}
    kind = random.choice(["plain", "plain", "cache", "cache", "audio", "image", "cached audio"])
    if "cache" in kind:
        usage["cache_read_tokens"] = random.randint(0, total // 2)
        usage["cache_write_tokens"] = random.randint(0, total // 3)
        usage["cache_write_1h_tokens"] = random.choice([0, usage["cache_write_tokens"]])
    if "audio" in kind:
        usage["input_audio_tokens"] = random.randint(0, total // 2)
        usage["output_audio_tokens"] = random.randint(0, output)
    if kind == "image":
        usage["input_image_tokens"] = random.randint(0, total)
    if kind == "plain":
        usage["reasoning_tokens"] = random.randint(0, output)
        usage["web_searches"] = random.choice([0, 0, 3])
    return usage


def sample_instant(random: Random) -> datetime:
    return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(800 * 86_400))


IN_SQL = """
WITH cards AS (
    SELECT price_id, provider_id, model_id, priority, valid_from, valid_to, window_start,
        window_end, tier_threshold_tokens AS above,
        max(price_usd_per_unit) FILTER (token_class = 'uncached_input') AS input,
        max(price_usd_per_unit) FILTER (token_class = 'cache_read') AS read,
        max(price_usd_per_unit) FILTER (token_class = 'cache_write') AS write,
        max(price_usd_per_unit) FILTER (token_class = 'output') AS output,
        max(price_usd_per_unit) FILTER (token_class = 'reasoning') AS reasoning
    FROM catalogue WHERE service_tier IS NULL GROUP BY ALL
), chosen AS (
    SELECT e.*, c.* FROM events e JOIN cards c
        ON e.provider = c.provider_id AND e.model = c.model_id
    WHERE (valid_from IS NULL OR occurred_at >= valid_from)
        AND (valid_to IS NULL OR occurred_at < valid_to)
        AND (window_start IS NULL OR (occurred_at AT TIME ZONE 'UTC')::TIME >= window_start
            AND (occurred_at AT TIME ZONE 'UTC')::TIME < window_end)
        AND (above IS NULL OR input_tokens > above)
    QUALIFY row_number() OVER (PARTITION BY seq ORDER BY priority DESC, above DESC NULLS LAST) = 1
)
SELECT seq, price_id,
    (input_tokens - cache_read_tokens - cache_write_tokens)::DECIMAL(18, 0) * input
    + cache_read_tokens::DECIMAL(18, 0) * coalesce(read, input)
    + cache_write_tokens::DECIMAL(18, 0) * coalesce(write, input)
    + (output_tokens - reasoning_tokens)::DECIMAL(18, 0) * output
    + reasoning_tokens::DECIMAL(18, 0) * coalesce(reasoning, output) AS cost_usd
FROM chosen ORDER BY seq
"""


def test_duckdb_finds_the_same_prices_and_costs_to_the_last_digit(
    catalogue: pl.DataFrame, models: list, cards: pl.DataFrame, tmp_path: Path
) -> None:
    random = Random(11)
    plain = {"input_mtok", "cache_read_mtok", "cache_write_mtok", "output_mtok",
             "output_reasoning_mtok"}  # fmt: skip
    names = [
        (p.id, m.id)
        for p, m in models
        if all({"input_mtok", "output_mtok"} <= set(known(one)) <= plain for one in all_prices(m))
    ]
    events = []
    for seq, (provider, model) in enumerate(names):
        total, output = random.randrange(400_000), random.randrange(100_000)
        read = random.randint(0, total)
        told = {"input_tokens": total, "output_tokens": output, "cache_read_tokens": read,
                "cache_write_tokens": random.randint(0, total - read),
                "reasoning_tokens": random.randint(0, output)}  # fmt: skip
        told |= {"occurred_at": sample_instant(random), "provider": provider, "model": model}
        events.append(event(seq=seq) | told)
    frame = events_of(*events).drop(PRICED)
    priced = price_events(frame, cards, comparables=NOTHING_COMPARABLE).select(
        "seq", pl.col("price_id").cast(str), "cost_usd"
    )
    with duckdb.connect() as con:
        for name, rows in (("events", frame), ("catalogue", catalogue)):
            rows.write_parquet(tmp_path / name)
            con.execute(f"CREATE VIEW {name} AS FROM read_parquet('{tmp_path / name}')")
        found = con.execute(IN_SQL).fetchall()
    assert len(found) == len(events) > 1_500
    assert found == priced.rows()
