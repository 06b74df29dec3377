"""What the clock check reads of a warehouse: a run's producers, in its hours and a day before."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.tables import CLOCKS_HOURLY, INGEST_BATCHES
from opsmeter_pipeline.storage.clocks import read_lags, read_newest_lags
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.tracking.clocks import CLOCK_LIMITS, judge_clock_skew
from tests.pipeline.support import NOON, hours


def _insert(lake: Lake, table: Table, rows: list[dict]) -> None:
    full = [{name: 0 if dtype == pl.Int64 else None for name, dtype in table.schema.items()} | row
            for row in rows]  # fmt: skip
    frame = pl.DataFrame(full, schema=table.schema)
    if "cost_usd" in frame.columns:
        frame = frame.with_columns(pl.col("cost_usd").fill_null(0))
    path = lake.folder / "rows.parquet"
    frame.write_parquet(path)
    lake.transact(lambda con: con.execute(
        f"INSERT INTO {table.name} FROM read_parquet(?)", [str(path)]
    ))  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A source that lands twice an hour and is 5 hours behind, one that is not of the last run."""
    folder: Path = tmp_path_factory.mktemp("home") / "warehouse"
    lake = Lake(folder)
    lake.create({})
    batches = [(ago, half, f"{ago:02}{half}") for ago in range(30) for half in "ab"]
    _insert(lake, INGEST_BATCHES, [
        {"batch_id": batch_id, "ingest_day": NOON.date(), "run_id": f"run-{batch_id}",
         "taken_at": NOON - hours(ago)}
        for ago, half, batch_id in batches
    ])  # fmt: skip
    _insert(lake, CLOCKS_HOURLY, [
        {"batch_id": batch_id, "source": source, "landed_hour_at": NOON - hours(ago),
         "sender_lag_minutes": lag, "landing_lag_minutes": 0, "attempts": 10}
        for ago, half, batch_id in batches
        for source, lag in (("utah-*", 300), ("other-*", 0))
        if source == "utah-*" or ago > 0
    ])  # fmt: skip
    return lake


def test_a_runs_sources_are_read_with_the_day_before(lake: Lake) -> None:
    lags = read_lags(lake, "run-00b", window=CLOCK_LIMITS.window)
    assert set(lags["source"]) == {"utah-*"}
    assert lags["landed_hour_at"].min() == NOON - timedelta(hours=23)
    newest = lags.filter(pl.col("landed_hour_at") == NOON).row(0, named=True)
    assert (newest["lines"], newest["run_lines"]) == (20, 10)
    assert (newest["first_batch"], newest["last_batch"]) == ("00a", "00b")
    assert lags["run_lines"].sum() == 10


def test_a_flow_five_hours_behind_is_found_from_what_is_read(lake: Lake) -> None:
    (culprit,) = judge_clock_skew(read_lags(lake, "run-00b", window=CLOCK_LIMITS.window)).culprits
    assert (culprit["source"], culprit["skew_minutes"]) == ("utah-*", "-300")


def test_a_run_that_took_nothing_reads_nothing(lake: Lake) -> None:
    lags = read_lags(lake, "no-such-run", window=CLOCK_LIMITS.window)
    assert lags.is_empty()
    assert judge_clock_skew(lags).passed


def _newest(lake: Lake, fresh: float) -> dict[str, int]:
    lags = read_newest_lags(lake, now=NOON, window=CLOCK_LIMITS.window, fresh=hours(fresh))
    summed = lags.group_by("source").agg(pl.col("run_lines").sum())
    return dict(summed.iter_rows())


def test_every_source_is_judged_by_its_newest_batch_and_all_that_are_fresh(lake: Lake) -> None:
    assert _newest(lake, 0) == {"utah-*": 10, "other-*": 10}
    assert _newest(lake, 1) == {"utah-*": 20, "other-*": 10}  # at one hour ago it is none
    assert _newest(lake, 1.5) == {"utah-*": 40, "other-*": 20}
