"""What the doctor reads of a home without a run: its catalogue, disks and newest batches."""

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from opsmeter_pipeline.doctor import Catalogue, LastBatches
from opsmeter_pipeline.model.errors import WarehouseMissingError
from opsmeter_pipeline.storage.lake import CATALOGUE, Lake

_BATCHES = 20
_BUSY_SECONDS = 2.0
_LAST = f"""
    SELECT count(*) AS batches, coalesce(sum(lines), 0)::BIGINT AS lines,
        coalesce(sum(quarantined), 0)::BIGINT AS quarantined,
        coalesce(sum(accepted), 0)::BIGINT AS accepted,
        coalesce(sum(unpriced_events), 0)::BIGINT AS unpriced
    FROM (FROM ingest_batches ORDER BY taken_at DESC, batch_id DESC LIMIT {_BATCHES})
"""
_AHEAD = """
    SELECT coalesce(sum(events), 0)::BIGINT FROM freshness_lags
    WHERE lag_up_to_seconds IS NULL AND visible_at > ?
"""
_OPEN = """
    SELECT severity, incident_id FROM incidents
    WHERE state IN ('open', 'acknowledged') ORDER BY opened_at, incident_id
"""


def read_catalogue(warehouse: Path) -> Catalogue:
    """Return what SQLite says of a warehouse's catalogue.

    Raises:
        WarehouseMissingError: there is none.
        sqlite3.Error: it is locked, or no catalogue.
    """
    path = warehouse / CATALOGUE
    if not path.exists():
        raise WarehouseMissingError(warehouse.parent)
    address = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as con:
        (snapshots,) = con.execute("SELECT count(*) FROM ducklake_snapshot").fetchone()
        (mode,) = con.execute("PRAGMA journal_mode").fetchone()
    log = path.with_name(f"{path.name}-wal")
    return Catalogue(mode, log.stat().st_size if log.exists() else 0, snapshots,
                     path.stat().st_size)  # fmt: skip


def read_free_bytes(path: Path) -> int:
    """Return how many bytes this user may still write on the disk of a path, there or not yet."""
    there = next(one for one in (path, *path.parents) if one.exists())
    return shutil.disk_usage(there).free


def is_writable(path: Path) -> bool:
    """Return whether this user may create files in a folder."""
    return os.access(path, os.W_OK | os.X_OK)


def read_last_batches(lake: Lake) -> LastBatches:
    """Return the sums of the newest batches."""
    return LastBatches(**lake.read(_LAST).row(0, named=True))


def count_ahead(lake: Lake, *, now: datetime) -> int:
    """Return how many events of the last day have an ingest time after they were visible."""
    return lake.read(_AHEAD, [now - timedelta(days=1)]).item()


def read_open_incidents(lake: Lake) -> list[tuple[str, str]]:
    """Return severity and id of each incident that is open or acknowledged, the oldest first."""
    return [(severity, one) for severity, one in lake.read(_OPEN).iter_rows()]
