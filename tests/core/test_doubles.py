"""When pairs of two reporters are doubles: each limit at both of its sides."""

from datetime import date
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from opsmeter_pipeline.doubles import find_doubles, judge_doubles
from opsmeter_pipeline.model.tables import DOUBLE_INSTRUMENTATION
from tests.scenario import NOW


def _pairs(**changes: Any) -> pl.DataFrame:
    row = {
        "day": date(2026, 11, 23), "environment": "prod", "data_mode": "real",
        "first_source": "app/*", "first_endpoint_tag": "chat.answer", "second_source": "gw/*",
        "second_endpoint_tag": "(missing)", "models": "gpt-4o", "pairs": 100, "signatures": 90,
        "chance_pairs": 0, "first_events": 1_000, "second_events": 100, "cost_usd": Decimal("1.5"),
        "unpriced_pairs": 0, "first_at": NOW, "last_at": NOW, "sample_ids": "a = b",
    } | changes  # fmt: skip
    return pl.DataFrame([row], schema_overrides={"cost_usd": pl.Decimal(38, 18)})


@pytest.mark.parametrize(
    ("changes", "found_rows"),
    [
        ({}, 1),
        ({"pairs": 20, "second_events": 20}, 1),
        ({"pairs": 19, "second_events": 19}, 0),
        ({"signatures": 10}, 1),
        ({"signatures": 9}, 0),
        ({"second_events": 200}, 1),
        ({"second_events": 201}, 0),
        ({"chance_pairs": 49}, 1),
        ({"chance_pairs": 51}, 0),
        # Half is beyond chance, but 30 where 12 are usual happens once in ten thousand.
        ({"pairs": 30, "chance_pairs": 12, "second_events": 36}, 0),
    ],
)
def test_pairs_are_doubles_if_many_varied_and_beyond_chance(
    changes: dict[str, Any], found_rows: int
) -> None:
    found = find_doubles(_pairs(**changes), looked_at=NOW)
    assert found.schema == DOUBLE_INSTRUMENTATION.schema
    assert found.height == found_rows
    assert judge_doubles(found).passed is (found_rows == 0)


def test_the_verdict_names_both_reporters_and_the_money() -> None:
    found = find_doubles(_pairs(), looked_at=NOW)
    assert (found["first_share"].item(), found["second_share"].item()) == (0.1, 1.0)
    verdict = judge_doubles(found)
    assert "app/* (chat.answer) and gw/* ((missing)), 100 pairs on 2026-11-23" in verdict.summary
    assert "1.500000000000000000 USD in doubt" in verdict.summary
    assert verdict.figures["pairs"] == 100
