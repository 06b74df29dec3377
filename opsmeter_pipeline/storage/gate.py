"""What the gate reads of the warehouse, beyond how freshness stands: law, signs of life, times."""

from datetime import datetime

import duckdb

from opsmeter_pipeline.gate import Ledger
from opsmeter_pipeline.model.condition import CRITICAL
from opsmeter_pipeline.storage.lake import Lake, fetch

_COUNTS = ("lines", "accepted", "duplicates", "quarantined", "blank")
_SUMS = ", ".join(f"sum({name})::BIGINT AS {name}" for name in _COUNTS)
_OF_BATCH, _OF_FILES = (
    ", ".join(f"{side}.{name}" for name in _COUNTS) for side in ("batches", "sums")
)
_BATCHES = f"""
    WITH batches AS (
        SELECT batch_id, {", ".join(_COUNTS)} FROM ingest_batches
        WHERE greatest(taken_at, visible_at, replayed_at) > ?
    ), sums AS (
        SELECT batch_id, {_SUMS}, count(*) FILTER (
            lines <> accepted + duplicates + quarantined + blank) AS unequal
        FROM ingest_files SEMI JOIN batches USING (batch_id) GROUP BY batch_id
    ), found AS (
        SELECT batch_id, sum(events)::BIGINT AS events, sum(refused)::BIGINT AS refused FROM (
            SELECT batch_id, 1 AS events, 0 AS refused FROM events
            UNION ALL SELECT batch_id, 0, 1 FROM quarantine
        ) SEMI JOIN batches USING (batch_id) GROUP BY batch_id
    )
    SELECT batch_id, sums.batch_id IS NULL OR unequal > 0
        OR batches.lines <> batches.accepted + batches.duplicates + batches.quarantined
            + batches.blank
        OR ({_OF_BATCH}) <> ({_OF_FILES})
        OR batches.accepted <> coalesce(events, 0) OR batches.quarantined <> coalesce(refused, 0)
        AS is_unbalanced
    FROM batches LEFT JOIN sums USING (batch_id) LEFT JOIN found USING (batch_id)
    ORDER BY batch_id
"""
"""The first promise in one query; `greatest` is that of the times that are not null."""
_SEEN = """
    SELECT max(visible_at) FROM freshness_lags
    WHERE kind = 'live' AND data_mode = 'real' AND environment = ?
"""
_CRITICAL = """
    SELECT incident_id FROM incidents
    WHERE state IN ('open', 'acknowledged') AND severity = ? ORDER BY opened_at, incident_id
"""
_NEWEST = "SELECT max(greatest(taken_at, visible_at, replayed_at)) FROM ingest_batches"


def read_ledger(con: duckdb.DuckDBPyConnection, *, since: datetime) -> Ledger:
    """Return what the ledger's law says of all batches published or replayed since an instant."""
    rows = fetch(con, _BATCHES, [since]).rows()
    return Ledger(len(rows), tuple(batch_id for batch_id, is_unbalanced in rows if is_unbalanced))


def read_last_event_at(lake: Lake, environment: str) -> datetime | None:
    """Return when a live event of an environment was visible last (UTC); None if never."""
    return lake.read(_SEEN, [environment]).item()


def read_critical_incidents(lake: Lake) -> list[str]:
    """Return the ids of the critical incidents that are not over, the oldest first."""
    return lake.read(_CRITICAL, [CRITICAL])["incident_id"].to_list()


def read_newest_time(lake: Lake) -> datetime | None:
    """Return the newest time that our own clock wrote into the ledger (UTC); None without any."""
    return lake.read(_NEWEST).item()
