"""How budgets stand, computed from one snapshot and written down at once.

The job `budget` and, where that did not run, a tick of the alerts do the same here. What is
computed for which period and what it means is judged in the `budget` stage.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl

from opsmeter_pipeline.budget import (
    Asked,
    Known,
    Look,
    Moved,
    Part,
    Touched,
    build_rows,
    find_dropped,
    find_troubled,
    is_due,
    list_changes,
    plan,
    read_known,
)
from opsmeter_pipeline.budget.forecast import WEEKS
from opsmeter_pipeline.model.budget import Budget
from opsmeter_pipeline.model.columns import INSTANT, Table
from opsmeter_pipeline.model.tables import BUDGET_CHANGES, BUDGET_STATUS
from opsmeter_pipeline.storage.budget_sums import read_parts, read_spent, read_tops
from opsmeter_pipeline.storage.lake import Lake, fetch, sql_type
from opsmeter_pipeline.storage.lateness import read_watermark_within

OVERDUE = timedelta(minutes=15)
"""How old the table may be while it should be computed again: three ticks of the schedule."""
_HISTORY = timedelta(weeks=WEEKS + 1)
"""How far back hours are read: a week more than are asked, to know whether the first is whole."""
_AHEAD = timedelta(hours=1)
"""Senders' clocks may be ahead of ours, but not as far."""
_ALIVE = "NOT (is_over AND is_final)"
"""Rows that time can still change; the others only change if a publish touches them, and there are
more of them from year to year."""
_STATUS = f"FROM budget_status WHERE {_ALIVE} ORDER BY budget, period_start_at"
_KNOWN = f"""
    FROM budget_status WHERE {_ALIVE} OR EXISTS (
        SELECT 1 FROM (SELECT unnest(?::DATE[]) AS day)
        WHERE period_start_at < ((day + 1)::TIMESTAMP AT TIME ZONE 'UTC')
            AND period_end_at > (day::TIMESTAMP AT TIME ZONE 'UTC')
    ) ORDER BY budget, period_start_at
"""
_CLOSED = """
    FROM budget_status WHERE is_over
    QUALIFY row_number() OVER (PARTITION BY budget ORDER BY period_start_at DESC) <= ?
"""
_BEFORE = "SELECT max(computed_at) AS computed_at, max(changes_through) FROM budget_status"
_TOUCHED = "SELECT number, batch_id, day, kind FROM day_changes WHERE number > ?"
"""Each computation looks at all changes up to its own, so only those since the last can matter."""
_NEWEST = "SELECT coalesce(max(number), 0)::BIGINT FROM day_changes"
_SNAPSHOT = "SELECT id FROM ducklake_current_snapshot('lake') AS current(id)"
_DELETE = """
    DELETE FROM budget_status WHERE (budget, period_name) IN (SELECT unnest(?), unnest(?))
"""
_NEVER = Part(0, Decimal(0))


@dataclass(frozen=True)
class Computed:
    """What a look at budgets found.

    Attributes:
        rows: of `budget_status`: those that were computed.
        changes: of `budget_changes`: what is new in it.
        dropped: keys of rows that are of no budget any more.
        before_at: when the table was computed before; None if it is empty.
    """

    rows: pl.DataFrame
    changes: pl.DataFrame
    dropped: Sequence[tuple[str, str]]
    before_at: datetime | None


def read_status(lake: Lake) -> pl.DataFrame:
    """Return the rows of periods that are not final, by budget and period."""
    return lake.read(_STATUS)


def read_closed(lake: Lake, *, limit: int) -> pl.DataFrame:
    """Return this many rows of each budget's newest periods that are over."""
    return lake.read(_CLOSED, [limit])


def read_changes(lake: Lake) -> pl.DataFrame:
    """Return what changed of periods after they were reported, in the order of publishes."""
    return lake.read("FROM budget_changes ORDER BY number, budget, period_start_at, batch_id")


def read_current(lake: Lake, budgets: Sequence[Budget], *, now: datetime) -> list[dict[str, Any]]:
    """Return what the table says; if it should have been computed for long, after doing it now.

    So alerts also know where no job runs: from cron, or when runs hang. Where the table has budgets
    that are not among these, it stays as it is: a process that was started elsewhere may have read
    other settings, and who only looks takes no budget away.

    Raises:
        WarehouseBusyError: it had to be computed, and the catalogue stayed locked.
    """
    rows = read_status(lake)
    is_ours = {*rows["budget"]} <= {one.name for one in budgets}
    newest = rows["computed_at"].max()
    is_old = not isinstance(newest, datetime) or newest <= now - OVERDUE
    if budgets and is_ours and is_old and find_due(lake, budgets, now=now):
        refresh(lake, budgets, now=now)
        rows = read_status(lake)
    return rows.to_dicts()


def find_due(lake: Lake, budgets: Sequence[Budget], *, now: datetime) -> str | None:
    """Return why the table should be computed again, or None."""
    with lake.connect(read_only=True) as con:
        known = read_known(fetch(con, _STATUS).to_dicts())
        newest = fetch(con, _NEWEST).item()
    return is_due(budgets, known, newest_change=newest, now=now)


def compute(lake: Lake, budgets: Sequence[Budget], *, now: datetime) -> Computed:
    """Return how budgets stand now, all of one snapshot; nothing is written.

    Raises:
        WarehouseMissingError: there is no warehouse yet.
    """
    with lake.connect(read_only=True, all_cores=True) as con:
        before_at, counted = fetch(con, _BEFORE).row(0)
        since = fetch(con, _NEWEST).item() if counted is None else counted
        touched = [Touched(*row) for row in fetch(con, _TOUCHED, [since]).iter_rows()]
        newest = max((one.number for one in touched), default=since)
        look = Look(now, read_watermark_within(con), newest, fetch(con, _SNAPSHOT).item())
        days = sorted({one.day for one in touched})
        known = read_known(fetch(con, _KNOWN, [days]).to_dicts())
        asked = plan(budgets, known, touched, now=now)
        spent = read_spent(con, asked, since=now - _HISTORY, until=now + _AHEAD)
        rows = build_rows(asked, spent, read_tops(con, find_troubled(asked, spent)), look=look)
        changes = list_changes([*_find_moved(con, asked, touched)], rows, now=now)
    return Computed(rows, changes, find_dropped(known, asked, now=now), before_at)


def refresh(lake: Lake, budgets: Sequence[Budget], *, now: datetime) -> Computed:
    """Compute how budgets stand and write it down, if nobody else did meanwhile.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
        WarehouseMissingError: there is no warehouse yet.
    """
    found = compute(lake, budgets, now=now)
    keys = [*found.dropped, *found.rows.select("budget", "period_name").rows()]
    if not keys:
        return found

    def write(con: duckdb.DuckDBPyConnection) -> None:
        if fetch(con, _BEFORE).row(0)[0] != found.before_at:
            return  # another process has just done the same; its changes must not be told twice
        con.execute(_DELETE, [*map(list, zip(*keys, strict=True))])
        _insert(con, BUDGET_STATUS, found.rows)
        _insert(con, BUDGET_CHANGES, found.changes)

    lake.transact(write)
    return found


def _find_moved(
    con: duckdb.DuckDBPyConnection, asked: Sequence[Asked], changes: Sequence[Touched]
) -> Iterator[Moved]:
    """Yield what may have changed of periods that were reported, with each batch's part of it."""
    for one in asked:
        touches = one.known.list_touches(changes) if one.known else []
        if one.known and touches and one.known.row["is_over"]:
            yield Moved(one.known, touches, _compare_parts(con, one.known, touches))


def _compare_parts(
    con: duckdb.DuckDBPyConnection, known: Known, touches: Sequence[Touched]
) -> dict[str, Part]:
    """Return by how much each batch's part changed since the row's snapshot.

    Where that is gone, of batches that were taken since: before, they had none.
    """
    again = {one.batch_id for one in touches if one.kind != "live"}
    batch_ids = sorted({one.batch_id for one in touches})
    after = read_parts(con, known.budget, known.period, batch_ids)
    try:
        before = read_parts(
            con, known.budget, known.period, batch_ids, snapshot_id=known.row["snapshot_id"]
        )
    except duckdb.Error:
        batch_ids, before = [one for one in batch_ids if one not in again], {}
    return {one: _subtract(after.get(one, _NEVER), before.get(one, _NEVER)) for one in batch_ids}


def _subtract(one: Part, other: Part) -> Part:
    return Part(one.attempts - other.attempts, one.cost_usd - other.cost_usd)


def _insert(con: duckdb.DuckDBPyConnection, table: Table, rows: pl.DataFrame) -> None:
    """Add rows by one statement: each of its own, they would take a tenth of a second each."""
    if rows.is_empty():
        return
    columns = ", ".join(f"unnest(?::VARCHAR[])::{sql_type(one.dtype)}" for one in table.columns)
    texts = rows.select(
        pl.col(one.name).dt.strftime("%Y-%m-%d %H:%M:%S%.6f+00")
        if one.dtype == INSTANT
        else pl.col(one.name).cast(pl.String)
        for one in table.columns
    )
    con.execute(f"INSERT INTO {table.name} SELECT {columns}", [one.to_list() for one in texts])
