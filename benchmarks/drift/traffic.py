"""Events of many endpoints, each with an old and a new prompt version, drawn from a real trace.

Only pairs of input and output tokens come from the trace, drawn with replacement. Tenants, models,
prices, failures and retries are assigned here, and said in `Shape`. Same seed, same events, with
the same Polars. Knows nothing of drift but what it does to an answer.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Final

import polars as pl

from opsmeter_pipeline.cube import READS
from opsmeter_pipeline.model.tables import EVENTS

TRACES: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "azure-code": (
            "AzureLLMInferenceTrace_code_2023.csv",
            "ContextTokens",
            "GeneratedTokens",
        ),
        "azure-conv": (
            "AzureLLMInferenceTrace_conv_2023.csv",
            "ContextTokens",
            "GeneratedTokens",
        ),
        "mooncake-conv": (
            "mooncake_conversation_trace_lengths.csv",
            "input_length",
            "output_length",
        ),
        "mooncake-synthetic": (
            "mooncake_synthetic_trace_lengths.csv",
            "input_length",
            "output_length",
        ),
    }
)
"""File and columns of each public trace."""
OLD, NEW = "v1", "v2"
DEPLOY_AT: Final = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
LOOKS: Final = 24
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True)
class Shape:
    """What traffic is like beside its tokens.

    Attributes:
        requests: how many each version answers; the new one within a day.
        tenants: how many tenants share an endpoint; the n-th has 1/n of the first one's traffic.
        tenant_spread: the tenant with the longest calls has so many times the tokens of the one
            with the shortest; which is which has nothing to do with their size.
        models: name, share and dollars per million tokens of input and output.
        failed: share of attempts that fail.
    """

    requests: int = 4_000
    tenants: int = 8
    tenant_spread: float = 4.0
    models: tuple[tuple[str, float, str, str], ...] = (
        ("gpt-5-mini", 0.7, "0.25", "2"),
        ("claude-haiku-4-5", 0.3, "1", "5"),
    )
    failed: float = 0.02


@dataclass(frozen=True)
class Change:
    """What the new version does differently.

    Attributes:
        output: factor on each answer.
        tail: factor on the longest 5 % of each endpoint's answers.
        mix: share that the tenant with the longest calls has of the new version's requests; None
            leaves all shares as they are.
    """

    output: float = 1.0
    tail: float = 1.0
    mix: float | None = None


CHANGES: Final[Mapping[str, Change]] = MappingProxyType(
    {
        "nothing": Change(),
        "output +15 %": Change(output=1.15),
        "output +10 %": Change(output=1.10),
        "tail x2": Change(tail=2.0),
        "mix": Change(mix=0.5),
    }
)


@dataclass(frozen=True)
class Source:
    """A trace and how traffic is drawn from it."""

    tokens: pl.DataFrame
    shape: Shape = field(default_factory=Shape)


def read_trace(folder: Path, name: str) -> pl.DataFrame:
    """Return a trace's `input_tokens` and `output_tokens`, one row per request."""
    file, input_name, output_name = TRACES[name]
    trace = pl.read_csv(folder / file)
    return trace.select(
        input_tokens=pl.col(input_name).cast(pl.Int64).clip(1),
        output_tokens=pl.col(output_name).cast(pl.Int64).clip(1),
    )


def draw_events(source: Source, change: Change, *, endpoints: int, seed: int) -> pl.DataFrame:
    """Return the events of so many endpoints, at least the columns the cube reads."""
    old = _draw(source, Change(), version=OLD, endpoints=endpoints, seed=2 * seed)
    new = _draw(source, change, version=NEW, endpoints=endpoints, seed=2 * seed + 1)
    return _price(pl.concat([old, new]), source.shape)


def _draw(
    source: Source, change: Change, *, version: str, endpoints: int, seed: int
) -> pl.DataFrame:
    shape, count = source.shape, endpoints * source.shape.requests
    start = DEPLOY_AT if version == NEW else DEPLOY_AT - dt.timedelta(days=1)
    drawn = source.tokens.sample(count, with_replacement=True, shuffle=True, seed=seed)
    row = pl.int_range(count, dtype=pl.Int64)
    tenant = pl.col("tenant")
    rank = (tenant * 5 + 3) % shape.tenants  # length has nothing to do with size
    longest = max(range(shape.tenants), key=lambda one: (one * 5 + 3) % shape.tenants)
    length = shape.tenant_spread ** (rank / (shape.tenants - 1) - 0.5)
    answers = (pl.col("output_tokens") * length * change.output).round().clip(1)
    limit = answers.quantile(0.95, "higher").over("endpoint")
    return (
        drawn.with_columns(
            endpoint=row // shape.requests,
            offset_us=(row % shape.requests) * (_DAY_US // shape.requests),
            tenant=_pick(seed + 1000, _tenant_shares(shape, change, longest), count),
            model_index=_pick(seed + 2000, [share for _, share, *_ in shape.models], count),
            is_failed=_uniform(seed + 3000, count) < shape.failed,
        )
        .with_columns(
            output_tokens=pl.when(answers >= limit).then(answers * change.tail).otherwise(answers)
            .round().cast(pl.Int64),
            input_tokens=(pl.col("input_tokens") * length).round().clip(1).cast(pl.Int64),
            prompt_version=pl.lit(version),
            occurred_at=pl.lit(start) + pl.duration(microseconds="offset_us"),
        )
    )  # fmt: skip


def _tenant_shares(shape: Shape, change: Change, longest: int) -> list[float]:
    weights = [1 / (rank + 1) for rank in range(shape.tenants)]
    shares = [weight / sum(weights) for weight in weights]
    if change.mix is None:
        return shares
    rest = 1 - shares[longest]
    return [
        change.mix if rank == longest else share * (1 - change.mix) / rest
        for rank, share in enumerate(shares)
    ]


def _pick(seed: int, shares: list[float], count: int) -> pl.Expr:
    """Return an index for each row, each as often as its share."""
    drawn, below = _uniform(seed, count), 0.0
    index = pl.lit(0, pl.Int64)
    for share in shares[:-1]:
        below += share
        index = index + (drawn >= below).cast(pl.Int64)
    return index


def _uniform(seed: int, count: int) -> pl.Expr:
    row = pl.int_range(count, dtype=pl.UInt64)
    return (row.hash(seed) // 2048).cast(pl.Float64) / 2.0**53


def _price(drawn: pl.DataFrame, shape: Shape) -> pl.DataFrame:
    """Return the draws as rows of `events`."""
    scale = Decimal(1_000_000)
    prices = pl.DataFrame(
        {
            "model_index": range(len(shape.models)),
            "model": [name for name, *_ in shape.models],
            "input_usd": [Decimal(one[2]) / scale for one in shape.models],
            "output_usd": [Decimal(one[3]) / scale for one in shape.models],
        },
        schema_overrides={
            "input_usd": pl.Decimal(38, 18), "output_usd": pl.Decimal(38, 18),
            "model_index": pl.Int64,
        },
    )  # fmt: skip
    events = drawn.join(prices, on="model_index", maintain_order="left").with_columns(
        endpoint_tag=pl.lit("bench.") + pl.col("endpoint").cast(pl.String).str.zfill(4),
        tenant_id=pl.lit("t_") + pl.col("tenant").cast(pl.String),
        cost_usd=pl.col("input_tokens") * pl.col("input_usd")
        + pl.col("output_tokens") * pl.col("output_usd"),
        outcome=pl.when("is_failed").then(pl.lit("error")).otherwise(pl.lit("success")),
        is_first_attempt=pl.lit(value=True),
        attempt_inferred=pl.lit(value=False),
        latency_ms=200 + 10 * pl.col("output_tokens"),
        batch_id=pl.lit("bench"),
        provider=pl.lit("openai"),
        environment=pl.lit("prod"),
        data_mode=pl.lit("real"),
        user_id=pl.lit("u_1"),
    )
    empty = [pl.lit(None).alias(name) for name in READS if name not in events.columns]
    return events.with_columns(empty).select(pl.col(one).cast(EVENTS.schema[one]) for one in READS)
