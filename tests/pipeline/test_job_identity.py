"""Batch after batch: redeliveries, conflicts and late events against what is published."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import (
    NOON,
    PipelineHome,
    assert_balanced,
    hours,
    jsonl,
    payload,
    snapshot,
)

CUBES = ("attribution_hourly", "users_daily", "latency_hourly", "users_latency_daily")


@pytest.fixture(scope="module")
def batches(make_home: MakeHome) -> PipelineHome:
    """Two batches: the second brings the first's file again, and lines that refer to it."""
    home = make_home()
    first = jsonl(payload("a"), payload("b", attempt=1), payload("c"))
    home.land("first.jsonl", first)
    home.land("copy.jsonl", first, landed_at=NOON + hours(0.5))
    assert home.take_all() == 1
    home.cubes_before = snapshot(home, tables=CUBES)
    home.land(
        "second.jsonl",
        jsonl(
            payload("a", timestamp="2025-03-10T12:40:00Z"),  # restamped
            payload("b", attempt=1, outputTokens=101),  # conflicting_duplicate
            payload("b", attempt=2, outputTokens=101),
            payload("c", outputTokens=200),  # an attempt that says no number
            payload("late", timestamp="2025-02-27T23:59:59Z"),
            payload("a", environment="staging"),  # another environment, another request
        ),
        landed_at=NOON + hours(1),
    )
    assert home.take_all() == 1
    return home


def test_a_file_landed_twice_under_two_names_is_all_duplicates(batches: PipelineHome) -> None:
    assert batches.ledger("first.jsonl") == (3, 3, 0, 0, 0)
    assert batches.ledger("copy.jsonl") == (3, 0, 3, 0, 0)


def test_a_redelivery_in_a_later_batch_is_counted_and_not_billed(batches: PipelineHome) -> None:
    assert batches.ledger("second.jsonl") == (6, 4, 1, 1, 0)
    assert batches.rows(
        "SELECT file, cost_usd FROM events WHERE external_request_id = 'a' AND environment = 'prod'"
    ) == [("first.jsonl", Decimal("0.003500000000000000"))]
    assert batches.rows(
        "SELECT environment, sum(redeliveries)::BIGINT FROM attribution_hourly "
        "GROUP BY ALL ORDER BY 1"
    ) == [("prod", 4), ("staging", 0)]


def test_a_conflicting_duplicate_in_a_later_batch_is_quarantined(batches: PipelineHome) -> None:
    assert batches.rows("SELECT rule, file, line_number FROM quarantine") == [
        ("conflicting_duplicate", "second.jsonl", 2)
    ]
    assert batches.rows(
        "SELECT attempt, attempt_inferred, is_first_attempt, output_tokens, file FROM events "
        "WHERE external_request_id = 'b' ORDER BY attempt"
    ) == [(1, False, True, 100, "first.jsonl"), (2, False, False, 101, "second.jsonl")]


def test_other_content_without_an_attempt_is_an_inferred_one(batches: PipelineHome) -> None:
    assert batches.rows(
        "SELECT attempt, attempt_inferred, is_first_attempt, cost_usd FROM events "
        "WHERE external_request_id = 'c' ORDER BY attempt"
    ) == [
        (1, False, True, Decimal("0.003500000000000000")),
        (2, True, False, Decimal("0.004500000000000000")),
    ]
    assert batches.rows(
        "SELECT requests, attempts, redeliveries, inferred_cost_usd FROM top_endpoints"
    ) == [(4, 6, 4, Decimal("0.004500000000000000"))]


def test_a_late_event_adds_cube_rows_and_touches_none(batches: PipelineHome) -> None:
    after = snapshot(batches, tables=CUBES)
    for table, rows in batches.cubes_before.items():
        assert set(rows) <= set(after[table]), table
    late = datetime(2025, 2, 27, 23, tzinfo=UTC)
    assert batches.rows(
        """SELECT b.ingest_day::VARCHAR, c.attempts, c.cost_usd
        FROM attribution_hourly c JOIN ingest_batches b USING (batch_id) WHERE hour_at = ?""",
        late,
    ) == [("2025-03-10", 1, Decimal("0.003500000000000000"))]
    assert batches.rows("SELECT day::VARCHAR, attempts FROM overview ORDER BY day") == [
        ("2025-02-27", 1),
        ("2025-03-10", 5),
    ]


def test_the_ledger_balances_over_both_batches(batches: PipelineHome) -> None:
    assert_balanced(batches)
    assert batches.rows(
        "SELECT lines, accepted, duplicates, quarantined, attempts_inferred, cost_usd "
        "FROM ingest_batches ORDER BY taken_at"
    ) == [
        (6, 3, 3, 0, 0, Decimal("0.010500000000000000")),
        # 0.00351 (b, attempt 2) + 0.0045 (c) + 0.0035 (late) + 0.0035 (a in staging)
        (6, 4, 1, 1, 1, Decimal("0.015010000000000000")),
    ]
