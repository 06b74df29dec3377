"""What it costs to count a batch's lags beside much history: CPU seconds, for growing histories.

Run `python -m benchmarks.freshness.history`. Each history is a warehouse with so many events in
`events`, their batches in the ledger and their rows of `freshness_lags`. Timed is the write that
notes when a batch of 10,000 events became visible and counts its lags, as every run does it. What
it wrote is checked first; no time is asserted.
"""

import argparse
import platform
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Final

import polars as pl

from opsmeter_pipeline.freshness.counts import count_arrivals
from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.tables import (
    BATCH_TIMES,
    EVENTS,
    FRESHNESS_LAGS,
    INGEST_BATCHES,
    INGEST_FILES,
)
from opsmeter_pipeline.storage.lake import Lake, sql_type
from opsmeter_pipeline.storage.publisher import Publication, note_visible
from opsmeter_pipeline.views import VIEWS

SIZES: Final = (0, 1_000_000, 10_000_000)
BATCH_EVENTS: Final = 10_000
HISTORY_BATCH: Final = 5_000
"""Events of a batch of the history; 2,000 batches of 20 min for 10 million."""
STEP: Final = timedelta(minutes=20)
START: Final = datetime(2026, 10, 1, tzinfo=UTC)
_FILLED: Final = {"VARCHAR": "'x'", "BOOLEAN": "true", "DATE": "DATE '2026-10-01'"}


def build_history(lake: Lake, events: int) -> None:
    """Fill the tables that an update could read, event by event."""
    batch = f"'b' || lpad((i // {HISTORY_BATCH})::VARCHAR, 9, '0')"
    ingested = f"TIMESTAMPTZ '{START}' + (i // {HISTORY_BATCH}) * INTERVAL {STEP.seconds} SECOND"
    own = {
        "batch_id": batch, "external_request_id": "'r' || i", "file": f"{batch} || '.jsonl'",
        "line_number": f"i % {HISTORY_BATCH} + 1", "ingested_at": ingested,
        "endpoint_tag": "'area.e' || i % 20", "environment": "'prod'", "data_mode": "'real'",
    }  # fmt: skip
    visible = "min(ingested_at) + INTERVAL 20 SECOND"
    lags = {
        "batch_id": "batch_id", "kind": "'live'", "ingested_hour_at":
        "date_trunc('hour', min(ingested_at))", "environment": "'prod'", "data_mode": "'real'",
        "source": "'*.jsonl'", "endpoint_tag": "endpoint_tag", "lag_up_to_seconds":
        "10 + line_number % 15", "limit_seconds": "300", "visible_at": visible,
        "events": "count(*)", "oldest_ingested_at": "min(ingested_at)",
    }  # fmt: skip
    ledger = {"batch_id": "batch_id", "taken_at": "min(ingested_at)", "visible_at": visible,
              "lines": "count(*)", "accepted": "count(*)"}  # fmt: skip
    files = {"batch_id": "batch_id", "file": "any_value(file)", "landed_at": "min(ingested_at)"}
    of_batch = f"FROM {EVENTS.name} GROUP BY batch_id"
    _insert(lake, EVENTS, own, f"FROM range({events}) t(i)")
    _insert(lake, FRESHNESS_LAGS, lags,
            f"FROM {EVENTS.name} GROUP BY batch_id, endpoint_tag, line_number % 15")  # fmt: skip
    _insert(lake, INGEST_BATCHES, ledger, of_batch)
    _insert(lake, INGEST_FILES, files, of_batch)
    _insert(lake, BATCH_TIMES, {"batch_id": "batch_id"}, of_batch)


def time_update(lake: Lake, folder: Path, nth: int) -> float:
    """Return the CPU seconds of noting one new batch; what it wrote is checked."""
    # Each in a folder of its own, as runs have it: DuckDB keeps what it read of a path.
    own = folder / str(nth)
    own.mkdir()
    publication = _stage(lake, own, f"n{nth:09}")
    began = time.process_time()
    noted = note_visible(lake, publication, now=lambda: datetime.now(UTC))
    spent = time.process_time() - began
    if noted.lags["events"].sum() != BATCH_EVENTS:
        sys.exit(f"The update counted {noted.lags['events'].sum()} events of {BATCH_EVENTS}.")
    return spent


def _stage(lake: Lake, folder: Path, batch_id: str) -> Publication:
    """Stage a batch as a run does, and put it into the ledger as published and not yet visible."""
    now = datetime.now(UTC)
    file = f"{batch_id}.jsonl"
    rows = pl.int_range(BATCH_EVENTS, eager=True).to_frame("line_number").select(
        pl.lit(batch_id).alias("batch_id"), pl.lit(file).alias("file"), pl.col("line_number"),
        pl.lit(now - timedelta(seconds=9)).alias("ingested_at"),
        ("area.e" + (pl.col("line_number") % 20).cast(pl.String)).alias("endpoint_tag"),
        pl.lit("prod").alias("environment"), pl.lit("real").alias("data_mode"),
    )  # fmt: skip
    staged = {EVENTS: rows, INGEST_FILES: pl.DataFrame(
        {"batch_id": [batch_id], "file": [file], "landed_at": [now - timedelta(seconds=9)]}
    )}  # fmt: skip
    paths: dict[Table, list[Path]] = {}
    for table, frame in staged.items():
        paths[table] = [folder / f"{table.name}.parquet"]
        _complete(frame, table).write_parquet(paths[table][0])
    arrivals = folder / "arrivals.parquet"
    count_arrivals(_complete(rows, EVENTS)).write_parquet(arrivals)
    own = {"batch_id": f"'{batch_id}'", "taken_at": "now()", "visible_at": "NULL",
           "accepted": str(BATCH_EVENTS)}  # fmt: skip
    _insert(lake, INGEST_BATCHES, own, "")
    return Publication(
        run_id="bench", batch_ids=[batch_id], replaced={}, watermark=None, now=now,
        standing=folder / "standing", slo=Slo(), scratch=folder / "lags.parquet",
        arrivals=[arrivals], rows=paths,
    )  # fmt: skip


def _complete(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    missing = [
        pl.lit(None, dtype).alias(name)
        for name, dtype in table.schema.items()
        if name not in frame.columns
    ]
    return frame.with_columns(missing).select(
        pl.col(name).cast(dtype) for name, dtype in table.schema.items()
    )


def _insert(lake: Lake, table: Table, own: dict[str, str], source: str) -> None:
    """Insert rows; columns that are not told get a constant of their type, or null."""
    values = {
        column.name: own.get(column.name, "NULL" if column.nullable else _fill(column.dtype))
        for column in table.columns
    }
    told = ", ".join(f"{value} AS {name}" for name, value in values.items())
    sql = f"INSERT INTO {table.name} ({', '.join(values)}) SELECT {told} {source}"
    lake.transact(lambda con: con.execute(sql))


def _fill(dtype: pl.DataType | type[pl.DataType]) -> str:
    kind = sql_type(dtype)
    if kind == "TIMESTAMPTZ":
        return f"TIMESTAMPTZ '{START}'"
    return _FILLED.get(kind, "0")


def main() -> None:
    """Build each history in turn and print a row for it."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--repeat", type=int, default=7)
    asked.add_argument("--events", type=int, nargs="*", default=list(SIZES))
    options = asked.parse_args()
    print("| events of history | rows of freshness_lags | update, CPU s, median | least | most |")
    print("|---|---|---|---|---|")
    for events in options.events:
        with tempfile.TemporaryDirectory() as name:
            lake = Lake(Path(name) / "warehouse")
            lake.create({view.name: view.sql for view in VIEWS})
            build_history(lake, events)
            rows = lake.read("SELECT count(*) FROM freshness_lags").item()
            time_update(lake, Path(name), 0)  # the first opens the database
            spent = [time_update(lake, Path(name), nth + 1) for nth in range(options.repeat)]
            print(f"| {events:,} | {rows:,} | {statistics.median(spent):.2f} | {min(spent):.2f} | "
                  f"{max(spent):.2f} |", flush=True)  # fmt: skip
    versions = ", ".join(f"{one} {metadata.version(one)}" for one in ("polars", "duckdb"))
    print(f"\nPython {platform.python_version()}, {versions}")


if __name__ == "__main__":
    main()
