"""Replaying a day: a backfill configures nothing, and leaves the tables as they were."""

import gzip
from pathlib import Path

import pytest

from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import (
    DAY,
    NOON,
    PipelineHome,
    assert_balanced,
    failure_of,
    hours,
    jsonl,
    payload,
    snapshot,
    without_clocks,
)

_FOUND = "SELECT file, finding FROM landing_findings"
_REPLAYED = "SELECT replayed_at IS NOT NULL FROM ingest_batches ORDER BY taken_at"


@pytest.fixture(scope="module")
def filled(make_home: MakeHome) -> PipelineHome:
    """Two batches of the replayed day and one of the next day, with every kind of line."""
    home = make_home()
    home.land("a.jsonl", jsonl(
        payload("a"), payload("b", attempt=1), "", '{"broken"', payload("t", dataMode="test"),
        payload("late", timestamp="2025-02-27T23:59:59Z", model="nobody-knows-1"),
    ))  # fmt: skip
    home.take_all()
    home.land("b.jsonl.gz", gzip.compress(jsonl(
        payload("a"), payload("b", attempt=1, inputTokens=7), payload("b", attempt=2),
        payload("c"), payload("c", status="error"),
    )), landed_at=NOON + hours(1))  # fmt: skip
    home.take_all()
    home.land("next_day.jsonl", jsonl(payload("c"), payload("d")), landed_at=NOON + hours(24))
    home.take_all()
    assert_balanced(home)
    assert home.rows(
        "SELECT lines, accepted, duplicates, quarantined FROM ingest_batches ORDER BY taken_at"
    ) == [(6, 4, 0, 1), (5, 3, 1, 1), (2, 1, 1, 0)]
    return home


@pytest.fixture
def two_batches(filled: PipelineHome, tmp_path: Path) -> PipelineHome:
    """A copy of it to replay in."""
    return filled.copy(tmp_path / "home")


def test_a_backfill_gives_the_same_tables_again(two_batches: PipelineHome) -> None:
    home, before = two_batches, without_clocks(two_batches)
    clocks = "SELECT batch_id, taken_at, visible_at FROM ingest_batches ORDER BY 1"
    known = home.rows(clocks)
    for _ in range(2):
        result = home.run(DAY, replay=True)
        assert result.success, failure_of(result)
        assert without_clocks(home) == before
    assert home.rows(clocks) == known
    assert home.rows(
        "SELECT ingest_day::VARCHAR, replayed_at IS NOT NULL, run_id = ? "
        "FROM ingest_batches ORDER BY taken_at",
        result.run_id,
    ) == [("2025-03-10", True, True), ("2025-03-10", True, True), ("2025-03-11", False, False)]
    assert_balanced(home)


def test_a_batch_whose_file_is_gone_is_left_as_it_was_and_says_so(
    two_batches: PipelineHome,
) -> None:
    home, before = two_batches, without_clocks(two_batches)
    (home.landing / "a.jsonl").unlink()
    result = home.run(DAY, replay=True)
    assert result.success, failure_of(result)
    assert home.rows(_FOUND) == [("a.jsonl", "gone")]
    after = without_clocks(home)
    assert after | {"landing_findings": []} == before | {"landing_findings": []}
    assert home.rows(_REPLAYED) == [(False,), (True,), (False,)]
    assert_balanced(home)


def test_a_changed_file_costs_its_own_batch_and_no_other(two_batches: PipelineHome) -> None:
    home, before = two_batches, without_clocks(two_batches)
    path = home.landing / "a.jsonl"
    edited = path.read_bytes().replace(b'"t1"', b'"t9"')
    assert len(edited) == path.stat().st_size
    home.land("a.jsonl", edited)
    result = home.run(DAY, replay=True)
    assert result.success, failure_of(result)
    assert home.rows(_FOUND) == [("a.jsonl", "changed")]
    after = without_clocks(home)
    assert after | {"landing_findings": []} == before | {"landing_findings": []}
    assert home.rows(_REPLAYED) == [(False,), (True,), (False,)]


def test_todays_contract_judges_a_replayed_line_by_the_clock_of_its_first_taking(
    home: PipelineHome,
) -> None:
    """A line from the future stays refused, although it is the past by the time of the replay."""
    home.land("a.jsonl", jsonl(payload("a"), payload("f", timestamp="2199-01-01T00:00:00Z")))
    home.take_all()
    before = without_clocks(home)
    assert home.rows("SELECT rule FROM quarantine") == [("future_timestamp",)]
    result = home.run(DAY, replay=True)
    assert result.success, failure_of(result)
    assert without_clocks(home) == before


def test_a_backfill_of_a_day_whose_files_are_all_gone_changes_nothing(home: PipelineHome) -> None:
    home.land("a.jsonl", jsonl(payload("a")))
    home.take_all()
    before = snapshot(home)
    (home.landing / "a.jsonl").unlink()
    for replay in (True, True, False):
        result = home.run(DAY, replay=replay)
        assert result.success, failure_of(result)
    assert home.rows(_FOUND) == [("a.jsonl", "gone")]
    assert snapshot(home) | {"landing_findings": []} == before


def test_the_batch_that_came_first_stays_first_in_a_backfill(home: PipelineHome) -> None:
    """The second batch's file is older and so are its events; by time alone it would win."""
    home.land("a.jsonl", jsonl(payload("told", attempt=1), payload("untold")))
    home.take_all()
    earlier = "2025-03-10T09:00:00Z"
    home.land("b.jsonl", jsonl(
        payload("told", attempt=1, inputTokens=7, timestamp=earlier),
        payload("untold", inputTokens=7, timestamp=earlier),
    ), landed_at=NOON - hours(1))  # fmt: skip
    home.take_all()
    before = without_clocks(home)
    assert home.rows(
        "SELECT external_request_id, attempt, is_first_attempt, input_tokens FROM events "
        "ORDER BY 1, 2"
    ) == [("told", 1, True, 1000), ("untold", 1, True, 1000), ("untold", 2, False, 7)]
    result = home.run(DAY, replay=True)
    assert result.success, failure_of(result)
    assert without_clocks(home) == before
