"""Real arrivals and token counts through the job, against plain sums of the source files.

The Azure traces are by Microsoft, CC-BY 4.0 (Patel et al., Splitwise, ISCA 2024). They have no
model, tenant or status: those are assigned here.
"""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import REPO, PipelineHome, assert_balanced, jsonl, payload

DATA = REPO.parent / "shared" / "data"
LANDED_AT = datetime(2023, 11, 17, tzinfo=UTC)
# Dollars per token of input and output: 30 and 60, 8 and 24 per million (genai-prices 0.2.3).
MODELS = {
    "code": ("openai", "gpt-4", Decimal("0.00003"), Decimal("0.00006")),
    "conv": ("anthropic", "claude-2", Decimal("0.000008"), Decimal("0.000024")),
}


def _rows(trace: str) -> Iterator[tuple[str, int, int]]:
    path = DATA / f"AzureLLMInferenceTrace_{trace}_2023.csv"
    if not path.exists():
        pytest.skip(f"the public trace {path} is not on this machine")
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            yield row["TIMESTAMP"], int(row["ContextTokens"]), int(row["GeneratedTokens"])


def _lines(trace: str) -> Iterator[dict[str, object]]:
    provider, model, *_ = MODELS[trace]
    for number, (at, input_tokens, output_tokens) in enumerate(_rows(trace)):
        yield payload(
            f"{trace}-{number}",
            provider=provider,
            model=model,
            endpointTag=f"{trace}.complete",
            userId=f"u{number % 97}",
            tenantId=f"t{number % 11}",
            inputTokens=input_tokens,
            outputTokens=output_tokens,
            latencyMs=None,
            timestamp=f"{at.replace(' ', 'T')}Z",
        )


@pytest.fixture(scope="module")
def azure(make_home: MakeHome) -> PipelineHome:
    contents = {trace: jsonl(*_lines(trace)) for trace in MODELS}
    home = make_home()
    for trace, content in contents.items():
        home.land(f"{trace}.jsonl", content, landed_at=LANDED_AT)
    assert home.take_all() == 1
    return home


def test_every_row_of_the_traces_is_an_event(azure: PipelineHome) -> None:
    assert_balanced(azure)
    assert azure.ledger("code.jsonl") == (8819, 8819, 0, 0, 0)
    assert azure.ledger("conv.jsonl") == (19366, 19366, 0, 0, 0)


@pytest.mark.parametrize("trace", MODELS)
def test_tokens_are_the_sums_of_the_source(azure: PipelineHome, trace: str) -> None:
    rows = list(_rows(trace))
    expected = sum(row[1] for row in rows), sum(row[2] for row in rows)
    for table in ("events", "attribution_hourly"):
        assert azure.rows(
            f"""SELECT sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT FROM {table}
            WHERE endpoint_tag = ?""",
            f"{trace}.complete",
        ) == [expected]


@pytest.mark.parametrize("trace", MODELS)
def test_costs_are_tokens_times_price_to_the_last_digit(azure: PipelineHome, trace: str) -> None:
    *_, per_input, per_output = MODELS[trace]
    expected = sum(
        (row[1] * per_input + row[2] * per_output for row in _rows(trace)), start=Decimal(0)
    )
    assert expected > 100
    tag = f"{trace}.complete"
    for table in ("events", "attribution_hourly", "top_endpoints"):
        sql = f"SELECT sum(cost_usd) FROM {table} WHERE endpoint_tag = ?"
        assert azure.value(sql, tag) == expected, table


@pytest.mark.parametrize("trace", MODELS)
def test_the_hours_are_those_of_the_source(azure: PipelineHome, trace: str) -> None:
    hours: dict[str, int] = {}
    for at, *_ in _rows(trace):
        hours[at[:13]] = hours.get(at[:13], 0) + 1
    found = azure.rows(
        """SELECT strftime(hour_at AT TIME ZONE 'UTC', '%Y-%m-%d %H'), sum(attempts)::BIGINT
        FROM attribution_hourly WHERE endpoint_tag = ? GROUP BY 1""",
        f"{trace}.complete",
    )
    assert dict(found) == hours


def test_the_seventh_decimal_of_a_second_is_cut(azure: PipelineHome) -> None:
    (at, *_) = next(_rows("code"))
    assert at == "2023-11-16 18:17:03.9799600"
    assert azure.rows("SELECT occurred_at FROM events WHERE external_request_id = 'code-0'") == [
        (datetime(2023, 11, 16, 18, 17, 3, 979960, tzinfo=UTC),)
    ]


def _bodies() -> list[dict[str, int]]:
    """Return the usage bodies of the OpenAI chat kind: inclusive counts, as on our wire."""
    path: Path = DATA / "raw_usage_bodies_sample.jsonl"
    if not path.exists():
        pytest.skip(f"the public sample {path} is not on this machine")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    bodies = [line["usage"] for line in lines if "usage" in line]
    return [
        body
        for body in bodies
        if {"prompt_tokens", "completion_tokens", "total_tokens"} <= body.keys()
        and body["prompt_tokens"] + body["completion_tokens"] == body["total_tokens"]
        and body["prompt_tokens"] > 0
    ]


def test_real_usage_bodies_keep_their_counts_and_cost_what_they_say(home: PipelineHome) -> None:
    bodies = _bodies()
    assert len(bodies) > 20
    cached = [(body.get("prompt_tokens_details") or {}).get("cached_tokens") for body in bodies]
    home.land("bodies.jsonl", jsonl(*(
        payload(
            f"body-{number}",
            inputTokens=body["prompt_tokens"],
            outputTokens=body["completion_tokens"],
            totalTokens=body["total_tokens"],
            cacheReadTokens=read,
        )
        for number, (body, read) in enumerate(zip(bodies, cached, strict=True))
    )))  # fmt: skip
    assert home.take_all() == 1
    assert home.ledger("bodies.jsonl")[:2] == (len(bodies), len(bodies))
    # gpt-4o: 2.5 uncached, 1.25 cached, 10 output, all per million
    expected = sum(
        (
            (body["prompt_tokens"] - (read or 0)) * Decimal("0.0000025")
            + (read or 0) * Decimal("0.00000125")
            + body["completion_tokens"] * Decimal("0.00001")
        )
        for body, read in zip(bodies, cached, strict=True)
    )
    assert home.value("SELECT sum(cost_usd) FROM events") == expected
    assert home.value("SELECT sum(input_tokens) FROM events") == sum(
        body["prompt_tokens"] for body in bodies
    )
