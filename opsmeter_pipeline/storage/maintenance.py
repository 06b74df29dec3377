"""Upkeep of the warehouse: small files merged, old snapshots expired, what nobody owns deleted.

Every step is a transaction of its own that takes its turn with the publishers, changes nothing that
a reader of the present sees, and can be killed and run again. What is kept and why stands in
ADR 0037. Upkeep of the orchestrator's own records is `orchestration.history`'s.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from opsmeter_pipeline.storage.lake import CATALOGUE, DATA, SPILL, Lake

GRACE = timedelta(days=1)
"""How long a file stays on disk after nothing needs it any more: a reader may have it open, and a
publish that is under way has not registered its own yet."""
REWRITE_SHARE = 0.5
"""Which share of a file's rows must be deleted for the file to be written anew without them."""
_EXPIRED_AT_ONCE = 1000
_BUSY_SECONDS = 2.0
_EXPIRABLE = """
    SELECT snapshot_id FROM ducklake_snapshots('lake')
    WHERE snapshot_time < ?
        AND snapshot_id < (SELECT max(snapshot_id) FROM ducklake_snapshots('lake'))
        AND snapshot_id NOT IN (SELECT former_snapshot_id FROM restatements)
    ORDER BY ALL
"""
_TABLES_WITH_FILES = """
    SELECT DISTINCT t.table_name FROM __ducklake_metadata_lake.ducklake_data_file f
    JOIN __ducklake_metadata_lake.ducklake_table t USING (table_id)
    WHERE f.end_snapshot IS NULL AND t.end_snapshot IS NULL ORDER BY ALL
"""


@dataclass(frozen=True)
class Upkeep:
    """What one pass did.

    Attributes:
        flushed_rows: rows that small writes had left in the catalogue, written to files.
        merged_files: files that became parts of larger ones.
        expired_snapshots: snapshots that can be read no more.
        deleted_files: files nobody needed, deleted.
        freed_bytes: how much smaller the files of the warehouse are, its catalogue included;
            negative while merged files wait for their grace.
        files: data files afterwards, those that wait for deletion included.
        snapshots: snapshots afterwards.
    """

    flushed_rows: int
    merged_files: int
    expired_snapshots: int
    deleted_files: int
    freed_bytes: int
    files: int
    snapshots: int


def keep_up(lake: Lake, *, kept_for: timedelta, now: datetime) -> Upkeep:
    """Merge, expire and clean up once; return what was done.

    Args:
        lake: the warehouse.
        kept_for: how old a snapshot may grow. The newest stays, and every one that
            `restatements` names: it has the former values.
        now: the present (UTC).

    Raises:
        WarehouseMissingError: there is no warehouse.
        WarehouseBusyError: the catalogue stayed locked; what was done before stays done.
    """
    before = _count_bytes(lake.folder)
    flushed = sum(row[-1] for row in _call(lake, "CALL ducklake_flush_inlined_data('lake')"))
    _call(lake, "CALL ducklake_rewrite_data_files('lake', delete_threshold => ?)", REWRITE_SHARE)
    merged = _merge(lake)
    expired = _expire(lake, older_than=now - kept_for)
    deleted = _delete_files(lake, older_than=now - GRACE)
    _empty_log(lake.folder)
    files, snapshots = lake.read(
        "SELECT (SELECT count(*) FROM glob(?)), (SELECT count(*) FROM ducklake_snapshots('lake'))",
        [str(lake.folder / DATA / "**/*.parquet")],
    ).row(0)
    freed = before - _count_bytes(lake.folder)
    return Upkeep(flushed, merged, expired, deleted, freed, files, snapshots)


def _merge(lake: Lake) -> int:
    """Merge adjacent small files, a table at a time, so that a publisher's turn comes between."""
    tables = lake.read(_TABLES_WITH_FILES)["table_name"].to_list()
    done = [
        row
        for table in tables
        for row in _call(lake, "CALL ducklake_merge_adjacent_files('lake', ?)", table)
    ]
    return sum(processed for *_, processed, _created in done)


def _expire(lake: Lake, *, older_than: datetime) -> int:
    old = lake.read(_EXPIRABLE, [older_than])["snapshot_id"].to_list()
    for first in range(0, len(old), _EXPIRED_AT_ONCE):
        some = old[first : first + _EXPIRED_AT_ONCE]
        _call(lake, "CALL ducklake_expire_snapshots('lake', versions => ?)", some)
    return len(old)


def _delete_files(lake: Lake, *, older_than: datetime) -> int:
    """Delete what expired or was merged, what no commit registered, and dead queries' spill."""
    deleted = sum(
        len(_call(lake, f"CALL {function}('lake', older_than => ?)", older_than))
        for function in ("ducklake_cleanup_old_files", "ducklake_delete_orphaned_files")
    )
    spilled = [one for one in (lake.folder / SPILL).glob("*") if one.is_file()]
    for file in spilled:
        if datetime.fromtimestamp(file.stat().st_mtime, UTC) < older_than:
            file.unlink(missing_ok=True)
            deleted += 1
    return deleted


def _call(lake: Lake, sql: str, *parameters: object) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []

    def write(con: duckdb.DuckDBPyConnection) -> None:
        rows[:] = con.execute(sql, [*parameters]).fetchall()

    lake.transact(write, all_cores=True)
    return rows


def _empty_log(folder: Path) -> None:
    """Move the catalogue's write-ahead log into it; what a reader holds stays for the next time."""
    with closing(sqlite3.connect(folder / CATALOGUE, timeout=_BUSY_SECONDS)) as catalogue:
        catalogue.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _count_bytes(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
