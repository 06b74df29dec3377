"""What is kept of a refused line's call, and what it may have cost."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from opsmeter_pipeline.model.tables import MODEL_RESOLUTIONS, PRICE_CATALOGUE, TOLD
from opsmeter_pipeline.price import build_cards, estimate_refused
from tests.scenario import ABSENT, NOW, at, judge, line, line_saying


def told_of(text: str | bytes) -> dict[str, Any]:
    """Return what stands in the columns `TOLD` of a refused line, nulls left out."""
    (row,) = judge(text).quarantine.select(TOLD).to_dicts()
    return {name: value for name, value in row.items() if value is not None}


SAID = {
    "provider": "openai", "model": "gpt-4o", "endpoint_tag": "chat.answer", "status": "success",
    "input_tokens": 1_000, "output_tokens": 200,
}  # fmt: skip
AT = {"occurred_at": at(-1800)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (line(latencyMs=-1), SAID | AT),
        (line(inputTokens="12"), SAID | AT | {"input_tokens": 12}),
        (
            line(latencyMs="x", outputTokens=200, sdk={"model": "other", "inputTokens": 1}),
            SAID | AT,
        ),
        (line(latencyMs=-1, status=200), SAID | AT | {"status": "200"}),
        (line(timestamp="2026-11-23T11:30:00"), SAID | AT),
        (line(timestamp="yesterday"), SAID),
        (line()[:-1] + ",}", SAID),
        (line_saying("inputTokens", "1000")[:-1], SAID | {"input_tokens": ABSENT}),
        ('{"sdk":{"inputTokens":5},"outputTokens":5', {}),
        (line()[:-1] + ',"outputTokens":7}', SAID | AT | {"output_tokens": ABSENT}),
        (line(inputTokens=1.5), SAID | AT | {"input_tokens": ABSENT}),
        (line(inputTokens=True), SAID | AT | {"input_tokens": ABSENT}),
        (line(inputTokens=-3), SAID | AT | {"input_tokens": ABSENT}),
        (line(inputTokens="4917055501234"), SAID | AT | {"input_tokens": ABSENT}),
        (line_saying("inputTokens", "9" * 5_000), SAID | AT | {"input_tokens": ABSENT}),
        (line(model="ann@example.com"), SAID | AT | {"model": ABSENT}),
        (line(model="sonnet@20250514", latencyMs=-1), SAID | AT | {"model": "sonnet@20250514"}),
        (line(endpointTag="10.1.2.3", latencyMs=-1), SAID | AT | {"endpoint_tag": ABSENT}),
        (b"\xff\xfe", {}),
        ("[]", {}),
        ("{" * 5_000, {}),
    ],
)
def test_a_refused_line_keeps_what_it_tells(text: str | bytes, expected: dict) -> None:
    wanted = {name: value for name, value in expected.items() if value is not ABSENT}
    told = told_of(text)
    if text in (line()[:-1] + ",}", line_saying("inputTokens", "1000")[:-1]):
        told.pop("occurred_at", None)
    assert told == wanted


def _cards() -> pl.DataFrame:
    """Return one card: a micro-dollar per input token, a tenth for a cache read, two for output."""
    prices = {"uncached_input": "0.000001", "cache_read": "0.0000001", "output": "0.000002"}
    catalogue = pl.DataFrame(
        [{"price_id": "p", "provider_id": "openai", "model_id": "gpt-4o", "token_class": name,
          "price_usd_per_unit": Decimal(price), "unit": "token", "priority": 0,
          "is_rounded": False, "source": "s", "source_version": "1", "loaded_at": NOW}
         for name, price in prices.items()],
        schema=PRICE_CATALOGUE.schema,
    )  # fmt: skip
    resolution = {"provider": "openai", "model": "gpt-4o", "provider_id": "openai",
                  "model_id": "gpt-4o", "rule": "name", "source_version": "1",
                  "resolved_at": NOW}  # fmt: skip
    return build_cards(catalogue, pl.DataFrame([resolution], schema=MODEL_RESOLUTIONS.schema))


@pytest.mark.parametrize(
    ("text", "cost", "reason"),
    [
        (line(latencyMs=-1), "0.0014", None),
        (line(latencyMs=-1, cacheReadTokens=400), "0.00104", None),
        (line(cacheReadTokens=1_001), "0.0014", None),
        (line(inputTokens=0), "0.0004", None),
        (line(inputTokens="0", outputTokens=0), "0", None),
        (line(outputTokens=ABSENT), None, "no_tokens"),
        (line(inputTokens=None, outputTokens=None), None, "no_tokens"),
        (line(model=ABSENT), None, "no_model"),
        (line(latencyMs=-1, model="other"), None, "unknown_model"),
        ("not json", None, "no_model"),
    ],
)
def test_an_estimate_is_exact_for_the_tokens_it_has_or_says_why_not(
    text: str, cost: str | None, reason: str | None
) -> None:
    (row,) = estimate_refused(judge(text).quarantine, _cards()).to_dicts()
    assert row["unestimated_reason"] == reason
    assert row["estimated_cost_usd"] == (None if cost is None else Decimal(cost))


def test_estimates_keep_the_order_of_the_lines() -> None:
    texts = [line(latencyMs=-1, inputTokens=n) for n in (5, 3)] + ["x", line(model=ABSENT)]
    rows = estimate_refused(judge(*texts, line(latencyMs=-1)).quarantine, _cards())
    assert rows["line_number"].to_list() == [1, 2, 3, 4, 5]
    assert rows["estimated_cost_usd"].to_list() == [
        Decimal("0.000405"), Decimal("0.000403"), None, None, Decimal("0.0014"),
    ]  # fmt: skip
