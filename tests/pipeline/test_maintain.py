"""Upkeep: what people read stays the same, files stay few, and nothing that is needed goes."""

import json
import os
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread

import dagster as dg
import duckdb
import polars as pl
import pytest

from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import RESTATEMENTS
from opsmeter_pipeline.orchestration.history import trim_history
from opsmeter_pipeline.storage.lake import DATA, SPILL, Lake
from opsmeter_pipeline.storage.maintenance import GRACE, keep_up
from tests.pipeline.support import PipelineHome, assert_balanced, jsonl, payload, run_opsmeter

WEEK = timedelta(days=7)
LATER = timedelta(days=9)
"""After which everything that was written now is beyond its time."""
STATE = "SELECT count(*), sum(x)::BIGINT, sum(cost_usd) FROM large"
SMALL = "SELECT count(*), sum(x)::BIGINT FROM small"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "warehouse")
    lake.create({})
    lake.transact(
        lambda con: con.execute(
            "CREATE TABLE large (batch BIGINT, x BIGINT, cost_usd DECIMAL(38,18));"
            "CREATE TABLE small (batch BIGINT, x BIGINT)"
        )
    )
    return lake


def publish(lake: Lake, batch: int, *, rows: int = 1500) -> None:
    """Publish a batch as the publisher does: large rows as a file, small ones inlined."""
    folder = lake.folder / DATA / "main" / "large"
    folder.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"batch": [batch] * rows, "x": range(rows)}).with_columns(
        cost_usd=pl.lit(Decimal("0.000000000000000001")).cast(pl.Decimal(38, 18))
    )
    file = folder / f"run{batch}-0.parquet"
    frame.write_parquet(file)

    def write(con: duckdb.DuckDBPyConnection) -> None:
        con.execute("CALL ducklake_add_data_files('lake', 'large', ?)", [str(file)])
        con.execute("INSERT INTO small SELECT ?, range FROM range(10)", [batch])

    lake.transact(write)


def files(lake: Lake) -> list[Path]:
    return sorted((lake.folder / DATA).rglob("*.parquet"))


def test_files_stay_few_and_rows_the_same_while_batches_go_on(lake: Lake) -> None:
    now = utc_now()
    for round_number in range(3):
        for batch in range(5):
            publish(lake, 5 * round_number + batch)
        seen = lake.read(STATE).row(0), lake.read(SMALL).row(0)
        done = keep_up(lake, kept_for=WEEK, now=now + LATER)
        assert (lake.read(STATE).row(0), lake.read(SMALL).row(0)) == seen
        assert done.flushed_rows == 50
        assert done.files == len(files(lake)) <= 4  # a file per table, and the last round's two
    assert seen == ((22_500, 15 * 1500 * 1499 // 2, 22_500 * Decimal("1e-18")), (150, 15 * 45))


def test_a_second_pass_finds_nothing_to_do(lake: Lake) -> None:
    for batch in range(3):
        publish(lake, batch)
    now = utc_now() + LATER
    keep_up(lake, kept_for=WEEK, now=now)
    again = keep_up(lake, kept_for=WEEK, now=now)
    assert (again.flushed_rows, again.merged_files, again.deleted_files) == (0, 0, 0)


def test_deleted_rows_do_not_come_back_and_a_replaced_batch_stays_replaced(lake: Lake) -> None:
    for batch in range(4):
        publish(lake, batch)
    keep_up(lake, kept_for=WEEK, now=utc_now() + LATER)
    for table in ("large", "small"):
        lake.transact(lambda con, table=table: con.execute(f"DELETE FROM {table} WHERE batch < 3"))
    publish(lake, 1, rows=2000)
    keep_up(lake, kept_for=WEEK, now=utc_now() + LATER)
    batches = "SELECT batch, count(*) FROM {} GROUP BY ALL ORDER BY ALL"
    assert lake.read(batches.format("large")).rows() == [(1, 2000), (3, 1500)]
    assert lake.read(batches.format("small")).rows() == [(1, 10), (3, 10)]


def test_the_past_is_readable_for_as_long_as_is_set_and_what_was_restated_for_good(
    lake: Lake,
) -> None:
    publish(lake, 1)
    restated = lake.newest_snapshot()
    publish(lake, 2)
    plain = lake.newest_snapshot()
    row = lake.folder / "row.parquet"
    _restatement(restated).write_parquet(row)
    insert = "INSERT INTO restatements FROM read_parquet(?)"
    lake.transact(lambda con: con.execute(insert, [str(row)]))
    now = utc_now()
    assert keep_up(lake, kept_for=WEEK, now=now + WEEK - timedelta(hours=1)).expired_snapshots == 0
    counted = "SELECT count(*) FROM large AT (VERSION => {})"
    assert lake.read(counted.format(plain)).item() == 3000
    keep_up(lake, kept_for=WEEK, now=now + LATER)
    assert lake.read(counted.format(restated)).item() == 1500
    with pytest.raises(duckdb.Error, match=f"version.* {plain}"):
        lake.read(counted.format(plain))


def _restatement(snapshot_id: int) -> pl.DataFrame:
    values = {pl.String: "x", pl.Int64: 0, pl.Date: utc_now().date(), pl.Datetime: utc_now(),
              pl.Decimal: Decimal(0), pl.Boolean: False}  # fmt: skip
    filled = {name: values[dtype.base_type()] for name, dtype in RESTATEMENTS.schema.items()}
    row = filled | {"former_snapshot_id": snapshot_id}
    return pl.DataFrame([row], schema=RESTATEMENTS.schema)


def test_what_no_commit_registered_goes_after_a_day_and_not_before(lake: Lake) -> None:
    publish(lake, 1)
    old, new = (lake.folder / DATA / "main/large" / f"{name}.parquet" for name in ("old", "new"))
    spilled = lake.folder / SPILL / "duckdb_temp_storage-0.tmp"
    spilled.parent.mkdir(exist_ok=True)
    now = utc_now()
    for file, age in ((old, GRACE + timedelta(hours=1)), (spilled, GRACE * 2), (new, GRACE / 2)):
        file.write_bytes(b"left")
        os.utime(file, (0, (now - age).timestamp()))
    done = keep_up(lake, kept_for=WEEK, now=now)
    assert done.deleted_files == 2
    assert not old.exists()
    assert not spilled.exists()
    assert new.exists()


def test_a_merged_file_is_there_for_its_readers_for_a_day(lake: Lake) -> None:
    for batch in range(3):
        publish(lake, batch)
    now = utc_now()
    before = set(files(lake))
    assert keep_up(lake, kept_for=WEEK, now=now).deleted_files == 0
    assert before < set(files(lake))
    keep_up(lake, kept_for=WEEK, now=now + GRACE + timedelta(minutes=1))
    assert not before & set(files(lake))


def test_batches_published_meanwhile_are_all_there(lake: Lake) -> None:
    writer = Thread(target=lambda: [publish(lake_of_writer, batch) for batch in range(12)])
    lake_of_writer = Lake(lake.folder)
    writer.start()
    while writer.is_alive():
        keep_up(lake, kept_for=WEEK, now=utc_now())
    writer.join()
    assert lake.read("SELECT count(*), count(DISTINCT batch) FROM large").row(0) == (18_000, 12)
    assert lake.read(SMALL).row(0) == (120, 12 * 45)


@dg.op
def nothing() -> None:
    pass


@dg.op
def failing() -> None:
    raise ValueError


@dg.job
def quiet() -> None:
    nothing()


@dg.job
def broken() -> None:
    failing()


def run(job: dg.JobDefinition, instance: dg.DagsterInstance, **tags: str) -> str:
    done = job.execute_in_process(
        instance=instance,
        raise_on_error=False,
        tags={f"dagster/{name}": value for name, value in tags.items()},
    )
    return done.run_id


def test_old_runs_go_but_for_what_still_says_something(tmp_path: Path) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        first, day = (run(quiet, instance, partition=day) for day in ("2026-11-01", "2026-11-02"))
        again = run(quiet, instance, partition="2026-11-01")
        failed = run(broken, instance)
        backfilled = run(quiet, instance, partition="2026-11-02", backfill="b")
        newest = run(quiet, instance, partition="2026-11-02")

        def left(*, now: datetime, kept_runs: int) -> set[str]:
            trim_history(instance, tmp_path, now=now, kept_runs=kept_runs)
            return {one.run_id for one in instance.get_runs()}

        every = {first, day, again, failed, backfilled, newest}
        assert left(now=utc_now(), kept_runs=6) == every
        assert left(now=utc_now(), kept_runs=0) == {again, failed, backfilled, newest}
        assert left(now=utc_now() + timedelta(days=31), kept_runs=0) == {again, newest}
        kept = {one.stem for one in (tmp_path / "history" / "runs").glob("*.db")} - {"index"}
        assert kept == {again, newest}
        assert len(instance.all_logs(again)) > 0


def test_the_command_and_the_job_keep_up_a_real_home(home: PipelineHome) -> None:
    home.land("a.jsonl", jsonl(payload()))
    assert home.run().success
    cost = home.value("SELECT sum(cost_usd) FROM top_endpoints")
    done = defs.resolve_job_def("maintain").execute_in_process(
        instance=home.instance, resources={"home": home.resource}
    )
    assert done.success
    code, out, _ = run_opsmeter("maintain", "--json", home=home.folder)
    told = json.loads(out)
    assert code == 0
    assert told["flushed_rows"] == 0  # the job's run has done it
    assert told["files"] == len(files(home.resource.lake)) > 5
    assert home.value("SELECT sum(cost_usd) FROM top_endpoints") == cost == Decimal("0.0035")
    assert_balanced(home)


def test_a_home_without_a_warehouse_is_told(tmp_path: Path) -> None:
    code, out, err = run_opsmeter("maintain", "--json", home=tmp_path / "none")
    assert (code, out) == (2, "")
    assert "no warehouse" in err
