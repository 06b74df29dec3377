"""Counting of lags where batches become visible: rows of `freshness_lags`, of these batches only.

Works within the transactions of `storage.publisher`. Of the run's own batches it reads what the
run staged; of others, which a run that died left without a visible time, their events in the lake.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from opsmeter_pipeline.freshness.counts import READS, count_lags
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.tables import EVENTS, FRESHNESS_LAGS, INGEST_FILES, MOVED_LINES
from opsmeter_pipeline.storage.lake import fetch
from opsmeter_pipeline.tracking.source import name_sources

_FILES = """
    SELECT f.batch_id, f.file, b.visible_at, f.landed_at, f.landed_since_at,
        greatest(f.landed_at, (SELECT min_by(looked_at, number) FROM watermarks)) AS arrived_at
    FROM {files} f JOIN ingest_batches b USING (batch_id) WHERE batch_id IN (SELECT unnest(?))
"""
_OF_BATCHES = "FROM {} WHERE batch_id IN (SELECT unnest(?))"


@dataclass(frozen=True)
class Counted:
    """How a run's lags are counted.

    Attributes:
        batch_ids: the batches whose rows are staged.
        arrivals: staged Parquet files of what `count_arrivals` made of their events.
        events: staged Parquet files of their rows of `events`, read if lines were moved.
        files: staged Parquet files of their rows of `ingest_files`.
        scratch: where rows are put for the warehouse to read.
        slo: what is promised.
    """

    batch_ids: Sequence[str]
    arrivals: Sequence[Path]
    events: Sequence[Path]
    files: Sequence[Path]
    scratch: Path
    slo: Slo


def write_lags(
    con: duckdb.DuckDBPyConnection, batch_ids: Sequence[str], counted: Counted, *, is_new: bool
) -> pl.DataFrame:
    """Write the rows of `freshness_lags` of these batches anew, in a transaction; return them.

    Args:
        con: the transaction.
        batch_ids: batches whose visible times have changed.
        counted: what the run has staged.
        is_new: the table has no rows of them, so that none need be looked for.
    """
    own = [one for one in batch_ids if one in set(counted.batch_ids)]
    others = [one for one in batch_ids if one not in set(own)]
    rows = pl.concat([
        FRESHNESS_LAGS.empty(),
        *([_count_staged(con, own, counted, is_new=is_new)] if own else []),
        *([_count_published(con, others, counted.slo)] if others else []),
    ])  # fmt: skip
    if not is_new:
        con.execute("DELETE " + _OF_BATCHES.format(FRESHNESS_LAGS.name), [batch_ids])
    if not rows.is_empty():
        rows.write_parquet(counted.scratch)
        sql = f"INSERT INTO {FRESHNESS_LAGS.name} SELECT {', '.join(rows.columns)} FROM "
        con.execute(sql + "read_parquet(?)", [str(counted.scratch)])
    return rows


def _count_staged(
    con: duckdb.DuckDBPyConnection, batch_ids: Sequence[str], counted: Counted, *, is_new: bool
) -> pl.DataFrame:
    files = _read_files(con, batch_ids, "read_parquet(?)", [[*map(str, counted.files)]])
    moved = MOVED_LINES.empty() if is_new else _read_moved(con, batch_ids)
    staged = [*(counted.arrivals if moved.is_empty() else counted.events)]
    events = pl.scan_parquet(staged, glob=False) if staged else EVENTS.empty()
    return count_lags(events.lazy(), files, moved, slo=counted.slo)


def _count_published(
    con: duckdb.DuckDBPyConnection, batch_ids: Sequence[str], slo: Slo
) -> pl.DataFrame:
    sql = f"SELECT {', '.join(READS)} " + _OF_BATCHES.format(EVENTS.name)
    events = fetch(con, sql, [batch_ids])
    files = _read_files(con, batch_ids, INGEST_FILES.name, [])
    return count_lags(events.lazy(), files, _read_moved(con, batch_ids), slo=slo)


def _read_moved(con: duckdb.DuckDBPyConnection, batch_ids: Sequence[str]) -> pl.DataFrame:
    return fetch(con, _OF_BATCHES.format(MOVED_LINES.name), [batch_ids])


def _read_files(
    con: duckdb.DuckDBPyConnection,
    batch_ids: Sequence[str],
    files: str,
    parameters: Sequence[object],
) -> pl.DataFrame:
    """Return source, arrival and visible time of each file of these batches."""
    found = fetch(con, _FILES.format(files=files), [*parameters, batch_ids])
    return found.join(name_sources(found["file"]), on="file")
