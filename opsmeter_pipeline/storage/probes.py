"""The probes of a home: claimed before they are sent, noted when they are seen or given up.

A claim is a committed row, so of two daemons that have the same tick one sends. What the page shows
is not asked here (`storage.page`); the ledger only tells the times in between and where a lost one
is stuck.
"""

import secrets
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl

from opsmeter_pipeline.model.probe_errors import TickTakenError
from opsmeter_pipeline.probe import (
    IDENTITY,
    LANDING,
    LOST,
    PAGE,
    QUARANTINE,
    REFUSED,
    SENDING,
    SENT,
    VISIBLE,
    Probe,
    Trace,
)
from opsmeter_pipeline.producers.probe import name_probe_file
from opsmeter_pipeline.storage.lake import Lake, fetch
from opsmeter_pipeline.storage.landing import Landing

LOOKED_FOR = timedelta(days=1)
"""How long a probe is looked for that was given up."""
NEWEST = 20
"""How many of the schedule's probes are looked at for those lost in a row."""
LAST_PROBE = "SELECT max(visible_at) AS last_probe_at FROM probes"
_COLUMNS = ", ".join(one.name for one in fields(Probe))
_TAKEN = "SELECT 1 FROM probes WHERE scheduled_at = ?"
_CLAIM = f"""
    INSERT INTO probes (probe_id, scheduled_at, file, state, sent_at, due_at)
    VALUES (?, ?, ?, '{SENT}', ?, ?)
"""
_OUTSTANDING = f"""
    SELECT {_COLUMNS} FROM probes
    WHERE visible_at IS NULL AND (sent_at > ? OR state = '{SENT}') ORDER BY sent_at, probe_id
"""
_UNTIMED = f"""
    SELECT {_COLUMNS} FROM probes
    WHERE sent_at > ? AND visible_at IS NOT NULL AND published_at IS NULL
"""
_NEWEST = f"""
    SELECT {_COLUMNS} FROM probes WHERE scheduled_at IS NOT NULL
    ORDER BY sent_at DESC, probe_id LIMIT ?
"""
_ONE = "FROM probes WHERE probe_id = ?"
_LEDGER = """
    SELECT batch_id, quarantined, duplicates, landed_at AS ingested_at, taken_at,
        visible_at AS published_at
    FROM ingest_files JOIN (SELECT batch_id, taken_at, visible_at FROM ingest_batches)
        USING (batch_id)
    WHERE file = ?
"""
_RULE = """
    SELECT rule || ': ' || coalesce(detail, '') AS told FROM quarantine
    WHERE batch_id = ? AND file = ?
"""
_FINDING = """
    SELECT finding || ': ' || coalesce(detail, '') FROM landing_findings WHERE file = ?
    ORDER BY found_at DESC LIMIT 1
"""
_TIMES = "ingested_at = ?, taken_at = ?, published_at = ?"


def claim_probe(
    lake: Lake, *, scheduled_at: datetime | None, limit: timedelta, clock: Callable[[], datetime]
) -> Probe:
    """Write down that a probe is about to be sent, and return it.

    The caller lands it at once. `sent_at` is read within the transaction, since that may wait.

    Args:
        lake: the warehouse.
        scheduled_at: the tick it is for (UTC); None if somebody asks for it.
        limit: how long until it counts as lost.
        clock: tells the present.

    Raises:
        TickTakenError: the tick has one already.
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    claimed: list[Probe] = []

    def write(con: duckdb.DuckDBPyConnection) -> None:
        sent_at = clock().astimezone(UTC)
        named_at = (scheduled_at or sent_at).astimezone(UTC)
        # Eight digits, by which `name_source` knows that they are no name.
        probe_id = f"probe-{named_at:%Y%m%dT%H%M%SZ}-{secrets.randbelow(10**8):08d}"
        file = name_probe_file(probe_id, sent_at=sent_at)
        row = [probe_id, scheduled_at, file, sent_at, sent_at + limit]
        if scheduled_at is not None and con.execute(_TAKEN, [scheduled_at]).fetchone():
            raise TickTakenError(scheduled_at)
        con.execute(_CLAIM, row)
        claimed.append(Probe(probe_id, scheduled_at, file, SENT, sent_at, sent_at + limit))

    lake.transact(write)
    return claimed[-1]


def read_outstanding(lake: Lake, *, now: datetime) -> list[Probe]:
    """Return the probes that are looked for, the oldest first: sent, or lost within a day."""
    return _read(lake, _OUTSTANDING, now - LOOKED_FOR)


def read_newest(lake: Lake, *, limit: int = NEWEST) -> list[Probe]:
    """Return the schedule's probes, the newest first."""
    return _read(lake, _NEWEST, limit)


def read_probe(lake: Lake, probe_id: str) -> dict[str, object]:
    """Return the row of one probe that is there."""
    return lake.read(_ONE, [probe_id]).row(0, named=True)


def read_last_probe_at(lake: Lake) -> datetime | None:
    """Return when the page last showed a probe (UTC); None if it never did."""
    return lake.read(LAST_PROBE).item()


def read_days(lake: Lake, *, limit: int) -> pl.DataFrame:
    """Return the newest days of `probes_daily`, the oldest first."""
    return lake.read("FROM probes_daily LIMIT ?", [limit]).sort("day")


def note_seen(lake: Lake, probe: Probe, trace: Trace, *, visible_at: datetime) -> None:
    """Write down when the page first showed a probe; the first that says so counts.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    sql = f"""
        UPDATE probes SET state = '{VISIBLE}', visible_at = ?, {_TIMES}
        WHERE probe_id = ? AND visible_at IS NULL
    """
    lake.transact(lambda con: con.execute(sql, [visible_at, *_times(trace), probe.probe_id]))


def note_lost(lake: Lake, probe: Probe, trace: Trace, *, lost_at: datetime) -> None:
    """Write down that a probe is given up, and where it is stuck; one that was seen stays so.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    sql = f"""
        UPDATE probes SET state = '{LOST}', lost_at = ?, stuck_at = ?, detail = ?, {_TIMES}
        WHERE probe_id = ? AND state = '{SENT}'
    """
    row = [lost_at, trace.stuck_at, trace.detail, *_times(trace), probe.probe_id]
    lake.transact(lambda con: con.execute(sql, row))


def complete_times(lake: Lake, landing: Landing, *, now: datetime) -> int:
    """Write the times that were not measured yet when the page showed a probe; return how many."""
    found = [(one, trace_probe(lake, landing, one)) for one in
             _read(lake, _UNTIMED, now - LOOKED_FOR)]  # fmt: skip
    told = [[*_times(trace), one.probe_id] for one, trace in found if trace.published_at]
    if told:
        sql = f"UPDATE probes SET {_TIMES} WHERE probe_id = ?"
        lake.transact(lambda con: con.executemany(sql, told))
    return len(told)


def trace_probe(lake: Lake, landing: Landing, probe: Probe) -> Trace:
    """Return how far a probe has come, whatever the page says."""
    with lake.connect(read_only=True) as con:
        for row in fetch(con, _LEDGER, [probe.file]).iter_rows(named=True):
            return _trace_batch(con, probe, row)
        for (finding,) in fetch(con, _FINDING, [probe.file]).iter_rows():
            return Trace(REFUSED, finding)
    if landing.holds(probe.file):
        return Trace(LANDING, "its file waits and no batch has taken it")
    return Trace(SENDING, "its file is not in the landing")


def _trace_batch(con: duckdb.DuckDBPyConnection, probe: Probe, row: dict[str, Any]) -> Trace:
    times = (row["ingested_at"], row["taken_at"], row["published_at"])
    if row["quarantined"]:
        rules = fetch(con, _RULE, [row["batch_id"], probe.file])["told"].to_list()
        return Trace(QUARANTINE, f"its line broke {', '.join(rules)}", *times)
    if row["duplicates"]:
        return Trace(IDENTITY, f"batch {row['batch_id']} counted it as a duplicate", *times)
    return Trace(PAGE, f"batch {row['batch_id']} holds it", *times)


def _read(lake: Lake, sql: str, parameter: object) -> list[Probe]:
    return [Probe(**row) for row in lake.read(sql, [parameter]).iter_rows(named=True)]


def _times(trace: Trace) -> list[datetime | None]:
    return [trace.ingested_at, trace.taken_at, trace.published_at]
