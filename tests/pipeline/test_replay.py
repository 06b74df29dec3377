"""Replaying batches: what passes now moves into events exactly once, and nothing else changes."""

import gzip
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import assets.publish
from opsmeter_pipeline.orchestration import resources
from opsmeter_pipeline.orchestration.jobs import take_batches
from opsmeter_pipeline.storage.price_book import PriceBook
from tests.pipeline.conftest import MakeHome
from tests.pipeline.replays import STRICT, held, replay, stricter_contract
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

EVENTS = """
    SELECT external_request_id, attempt, is_first_attempt, output_tokens, file, line_number
    FROM events ORDER BY ALL
"""
LEDGER = "SELECT accepted, duplicates, quarantined FROM ingest_batches ORDER BY taken_at"


@pytest.fixture(scope="module")
def filled(make_home: MakeHome) -> PipelineHome:
    """Two batches; the first holds lines back whose ids the second knows by now."""
    home = make_home()
    with stricter_contract():
        home.land("a.jsonl", jsonl(
            payload("same", **held(attempt=1)),  # the event of b.jsonl:1
            payload("other", **held(attempt=1, outputTokens=7)),  # contradicts b.jsonl:2
            payload("untold", **held(outputTokens=7)),  # an attempt beside b.jsonl:3
            payload("alone", **held()),
            payload("alone", **held(timestamp="2025-03-10T11:00:00Z")),  # delivered again
            payload("beside", **held(attempt=1, outputTokens=7)),  # before the event of line 7
            payload("beside", attempt=1),
            payload("bad", outputTokens=-1),
        ))  # fmt: skip
        home.take_all()
        home.land("b.jsonl", jsonl(
            payload("same", attempt=1), payload("other", attempt=1), payload("untold"),
        ), landed_at=NOON + hours(1))  # fmt: skip
        home.take_all()
    assert home.rows(LEDGER) == [(1, 0, 7), (3, 0, 0)]
    assert_balanced(home)
    return home


@pytest.fixture
def two_batches(filled: PipelineHome, tmp_path: Path) -> PipelineHome:
    """A copy of it to replay in."""
    return filled.copy(tmp_path / "home")


def test_a_line_that_passes_now_becomes_an_event_once_whatever_came_since(
    two_batches: PipelineHome,
) -> None:
    home, standing = two_batches, set(two_batches.rows(EVENTS))
    replay(home, 0)
    events = home.rows(EVENTS)
    assert standing <= set(events)
    assert set(events) - standing == {
        ("untold", 2, False, 7, "a.jsonl", 3),
        ("alone", 1, True, 100, "a.jsonl", 5),  # the earlier of two equal lines, by event time
    }
    assert home.rows("SELECT rule, line_number FROM quarantine ORDER BY 2") == [
        ("conflicting_duplicate", 2), ("conflicting_duplicate", 6), ("negative_count", 8),
    ]  # fmt: skip
    assert home.rows(LEDGER) == [(3, 2, 3), (3, 0, 0)]
    assert_balanced(home)


@pytest.mark.parametrize("order", [[(0,), (1,)], [(1,), (0,)], [(0, 1)]], ids=str)
def test_it_does_not_matter_which_batches_are_replayed_together(
    two_batches: PipelineHome, order: list[tuple[int, ...]]
) -> None:
    home = two_batches
    for numbers in order:
        replay(home, *numbers)
    after = without_clocks(home)
    assert len(after["events"]) == 6
    for again in (lambda: replay(home), lambda: replay(home, 0), lambda: home.run(replay=True)):
        assert again().success
        assert without_clocks(home) == after
    assert_balanced(home)


def test_both_times_are_kept(two_batches: PipelineHome) -> None:
    home = two_batches
    clocks = "SELECT batch_id, taken_at, visible_at FROM ingest_batches ORDER BY taken_at"
    first = home.rows(clocks)
    started_at = datetime.now(UTC)
    run_id = replay(home, 0).run_id
    assert home.rows(clocks) == first
    moved = home.rows("FROM moved_lines ORDER BY line_number")
    assert [row[1:5] for row in moved] == [
        ("a.jsonl", 3, STRICT, run_id), ("a.jsonl", 5, STRICT, run_id)
    ]  # fmt: skip
    assert {row[0] for row in moved} == {first[0][0]}
    assert all(started_at < row[5] <= datetime.now(UTC) for row in moved)
    replay(home, 0)
    assert home.rows("FROM moved_lines ORDER BY line_number") == moved


def test_a_replay_takes_nothing_new(two_batches: PipelineHome) -> None:
    home = two_batches
    home.land("new.jsonl", jsonl(payload("new")))
    replay(home)
    assert home.rows("SELECT count(*) FROM ingest_batches") == [(2,)]
    assert home.next_day() == DAY


def test_lines_of_every_format_are_found_again(home: PipelineHome) -> None:
    def lines(name: str) -> list[dict[str, object]]:
        return [payload(f"{name}-good"), payload(f"{name}-held", **held(attempt=1))]

    frame = pl.DataFrame(lines("parquet"), infer_schema_length=None)
    parquet, comma = io.BytesIO(), pl.DataFrame(lines("csv"), infer_schema_length=None).write_csv()
    frame.write_parquet(parquet)
    with stricter_contract():
        home.land("g.jsonl", jsonl(*lines("grown-1")))
        home.land("z.jsonl.gz", gzip.compress(jsonl(*lines("gz"))))
        home.land("c.csv", comma.encode())
        home.land("p.parquet", parquet.getvalue())
        home.take_all()
        home.land("g.jsonl", jsonl(*lines("grown-1"), *lines("grown-2")), landed_at=NOON + hours(1))
        home.take_all()
    assert home.value("SELECT count(*) FROM quarantine WHERE rule = ?", STRICT) == 5
    home.land("g.jsonl", jsonl(*lines("grown-1"), *lines("grown-2"), *lines("grown-3")))
    replay(home)
    assert home.rows("SELECT sum(accepted)::BIGINT, sum(lines)::BIGINT FROM ingest_batches") == [
        (10, 10)
    ]
    assert home.rows("SELECT file, line_number FROM moved_lines ORDER BY ALL") == [
        ("c.csv", 2), ("g.jsonl", 2), ("g.jsonl", 4), ("p.parquet", 2), ("z.jsonl.gz", 2)
    ]  # fmt: skip
    assert_balanced(home)


def test_a_replay_prices_by_todays_catalogue(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OldBook(PriceBook):
        version = "of-last-year"

        def catalogue(self, *, now: datetime) -> pl.DataFrame:
            return super().catalogue(now=now).with_columns(
                (pl.col("price_usd_per_unit") * Decimal("1.2")).cast(pl.Decimal(38, 18))
            )  # fmt: skip

    home.land("a.jsonl", jsonl(payload("a"), payload("b", **held())))
    with stricter_contract(), monkeypatch.context() as patch:
        patch.setattr(resources, "_price_book", OldBook)
        home.take_all()
    costs = "SELECT external_request_id, cost_usd FROM events ORDER BY 1"
    assert home.rows(costs) == [("a", Decimal("0.0042"))]
    replay(home)
    assert home.rows(costs) == [("a", Decimal("0.0035")), ("b", Decimal("0.0035"))]
    assert_balanced(home)


def test_a_batch_whose_file_is_not_what_it_was_is_refused_and_the_others_are_replayed(
    home: PipelineHome,
) -> None:
    names = ("gone", "changed", "cut", "kept")
    with stricter_contract():
        for number, name in enumerate(names):
            home.land(f"{name}.jsonl", jsonl(payload(name), payload(f"{name}-2", **held())),
                      landed_at=NOON + hours(number / 10))  # fmt: skip
            home.take_all()
    before = without_clocks(home)
    changed = (home.landing / "changed.jsonl").read_bytes().replace(b'"u1"', b'"u2"')
    (home.landing / "gone.jsonl").unlink()
    home.land("changed.jsonl", changed)
    home.land("cut.jsonl", b"")
    for _ in range(2):
        replay(home)
        assert home.rows("SELECT file, finding FROM landing_findings ORDER BY 1") == [
            ("changed.jsonl", "changed"), ("cut.jsonl", "changed"), ("gone.jsonl", "gone")
        ]  # fmt: skip
        assert home.rows("SELECT file FROM quarantine ORDER BY 1") == [
            ("changed.jsonl",), ("cut.jsonl",), ("gone.jsonl",)
        ]  # fmt: skip
    assert set(before["events"]) <= set(without_clocks(home)["events"])
    assert home.value("SELECT detail FROM landing_findings WHERE finding = 'gone'").startswith(
        "it is no longer in the landing"
    )
    assert_balanced(home)


def test_an_event_that_todays_contract_refuses_leaves_its_request_counted(
    home: PipelineHome,
) -> None:
    """The other way round: a contract that became stricter, with both lines in one batch."""
    home.land("a.jsonl", jsonl(payload("k", **held()), payload("k", outputTokens=7)))
    home.take_all()
    with stricter_contract():
        replay(home)
    assert home.rows(EVENTS) == [("k", 1, True, 7, "a.jsonl", 2)]
    replay(home)
    assert home.rows(EVENTS) == [
        ("k", 1, True, 7, "a.jsonl", 2), ("k", 2, False, 100, "a.jsonl", 1)
    ]  # fmt: skip
    assert_balanced(home)


def test_a_run_that_another_one_overtook_is_refused_and_right_the_next_time(
    two_batches: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new line of an id is published between the replay's judging and its publishing."""
    home, publish = two_batches, assets.publish.publish

    def overtaken(*arguments: object) -> dict[str, int]:
        monkeypatch.setattr(assets.publish, "publish", publish)
        home.land("c.jsonl", jsonl(payload("alone", tenantId="held")))
        home.take_all()
        return publish(*arguments)

    monkeypatch.setattr(assets.publish, "publish", overtaken)
    ids = [one for (one,) in home.rows("SELECT batch_id FROM ingest_batches")]
    result = home.run(DAY, config=take_batches(ids, log_level="CRITICAL"))
    assert not result.success
    assert "Another run published or replayed" in failure_of(result)
    before = snapshot(home, tables=["events"])
    replay(home)
    assert set(before["events"]) <= set(snapshot(home, tables=["events"])["events"])
    assert home.rows("SELECT file FROM events WHERE external_request_id = 'alone'") == [
        ("c.jsonl",)
    ]  # fmt: skip
    assert_balanced(home)
