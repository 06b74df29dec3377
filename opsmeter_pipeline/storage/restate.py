"""The transaction that replaces the prices of published events, and all sums of their batches.

It asks whether every sum agrees with the events and writes nothing if not. What is to be written
is worked out in `storage.reprice`. The former values stay in the snapshot `restatements` names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import duckdb
import polars as pl

from opsmeter_pipeline.cube import PRICED_MEASURES
from opsmeter_pipeline.model.price_errors import (
    RepriceOvertakenError,
    RepriceSumsError,
)
from opsmeter_pipeline.model.tables import (
    ATTRIBUTION_HOURLY,
    CLOCKS_HOURLY,
    DAY_CHANGES,
    EVENTS,
    INGEST_FILES,
    PRICED,
    RESTATEMENTS,
    USERS_DAILY,
    dimensions_of,
)
from opsmeter_pipeline.price.own_rows import OWN_SOURCE
from opsmeter_pipeline.reprice import LISTED, PLACE
from opsmeter_pipeline.storage.lake import Lake, fetch
from opsmeter_pipeline.storage.lateness import record_changes, sum_days
from opsmeter_pipeline.storage.price_log import PriceLog
from opsmeter_pipeline.storage.price_versions import PACKAGE
from opsmeter_pipeline.tracking.lags import CLOCK_KEYS

KIND = "reprice"
"""What `day_changes` calls it."""
_LEDGER = ("unpriced_events", "cost_usd")
_MEASURES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ATTRIBUTION_HOURLY.name: PRICED_MEASURES,
        USERS_DAILY.name: PRICED_MEASURES,
        CLOCKS_HOURLY.name: ("cost_usd",),
        INGEST_FILES.name: _LEDGER,
    }
)
"""What another price changes in each table that is summed of events."""
_CUBE_KEYS = {cube.name: dimensions_of(cube) for cube in (ATTRIBUTION_HOURLY, USERS_DAILY)}
_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **_CUBE_KEYS,
        CLOCKS_HOURLY.name: CLOCK_KEYS,
        INGEST_FILES.name: ("batch_id", "file"),
    }
)
"""By which columns a row that is summed of events is found again."""


@dataclass(frozen=True)
class Order:
    """A reprice as it was asked for, but for which events.

    Attributes:
        reason: why, kept in `restatements`.
        asked_by: who asked, likewise.
        run_id: the run that does it, likewise.
        log: which versions price.
    """

    reason: str
    asked_by: str
    run_id: str
    log: PriceLog


@dataclass(frozen=True)
class Unit:
    """What a reprice changes in some batches, staged.

    Attributes:
        run_ids: the batches, and which run had published each when they were read.
        listed: what changes, as `list_restatements` tells it.
        listing: the same.
        changed: place, new prices and former cost of the events that change.
        sums: all that is summed of the batches' events, by table.
    """

    run_ids: Mapping[str, str]
    listed: pl.DataFrame
    listing: Path
    changed: Path
    sums: Mapping[str, Path]


def publish_unit(lake: Lake, unit: Unit, order: Order, *, now: datetime) -> None:
    """Replace the events' prices and what is summed of them, and log both, in one transaction.

    Args:
        lake: the warehouse.
        unit: what changes.
        order: why, and for whom.
        now: when (UTC).

    Raises:
        RepriceOvertakenError: a batch is not what it was when it was read; nothing was written.
        RepriceSumsError: sums would not agree with the events; nothing was written.
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    batch_ids = [*unit.run_ids]

    def write(con: duckdb.DuckDBPyConnection) -> None:
        _refuse_overtaken(con, unit)
        former = fetch(con, "SELECT max(snapshot_id) FROM ducklake_snapshots('lake')").item()
        before = sum_days(con, batch_ids)
        _update(con, EVENTS.name, unit.changed, keys=PLACE, measures=PRICED)
        for name, path in unit.sums.items():
            if name in _KEYS:
                _update(con, name, path, keys=_KEYS[name], measures=_MEASURES[name])
            else:  # which rows there are, or sums of squares, hang on what is priced
                con.execute(_DELETE.format(name), [batch_ids])
                con.execute(f"INSERT INTO {name} BY NAME FROM read_parquet(?)", [str(path)])
        con.execute(_SUM_FILES, [batch_ids])
        _refuse_unequal(con, batch_ids)
        after, kinds = sum_days(con, batch_ids), dict.fromkeys(batch_ids, KIND)
        record_changes(con, before, after, kinds=kinds, run_id=order.run_id, now=now)
        _list(con, unit, order, former)
        con.execute("CALL lake.set_commit_message(?, ?)", [order.run_id, ", ".join(batch_ids)])

    lake.transact(write, all_cores=True)


def note_restated(lake: Lake, *, now: Callable[[], datetime]) -> None:
    """Write down when restatements and their changes of days became visible.

    Batches whose writer died wait for the next publish, which counts their lags too.
    """
    visible_at = now()

    def write(con: duckdb.DuckDBPyConnection) -> None:
        for table in (RESTATEMENTS, DAY_CHANGES):
            sql = f"UPDATE {table.name} SET visible_at = ? WHERE visible_at IS NULL"
            con.execute(sql, [visible_at])

    lake.transact(write)


def _refuse_overtaken(con: duckdb.DuckDBPyConnection, unit: Unit) -> None:
    """Raise if a batch was replaced, or an event priced again, since the unit was read."""
    sql = "SELECT batch_id, run_id FROM ingest_batches WHERE batch_id IN (SELECT unnest(?))"
    batch_ids = [*unit.run_ids]
    same = f"""
        SELECT count(*) FROM events e JOIN read_parquet(?) c USING ({", ".join(PLACE)})
        WHERE e.batch_id IN (SELECT unnest(?)) AND e.cost_usd IS NOT DISTINCT FROM c.former_cost_usd
    """
    found = dict(fetch(con, sql, [batch_ids]).iter_rows())
    unchanged = fetch(con, same, [str(unit.changed), batch_ids]).item()
    if found != unit.run_ids or unchanged != unit.listed["attempts"].sum():
        raise RepriceOvertakenError(batch_ids)


def _update(
    con: duckdb.DuckDBPyConnection,
    table: str,
    path: Path,
    *,
    keys: Sequence[str],
    measures: Sequence[str],
) -> None:
    """Take the measures of rows from a staged file where they differ."""
    assigned = ", ".join(f"{name} = n.{name}" for name in measures)
    same = " AND ".join(f"t.{name} IS NOT DISTINCT FROM n.{name}" for name in keys)
    differs = " OR ".join(f"t.{name} IS DISTINCT FROM n.{name}" for name in measures)
    con.execute(
        f"UPDATE {table} t SET {assigned} FROM read_parquet(?) n WHERE {same} AND ({differs})",
        [str(path)],
    )


def _refuse_unequal(con: duckdb.DuckDBPyConnection, batch_ids: Sequence[str]) -> None:
    """Raise if a table's sums of a batch are not those of its events, to the last decimal."""
    for table, told in _SUMS.items():
        sums = ", ".join(f"sum({column}) AS {name}" for name, column in told.items())
        differs = " OR ".join(f"coalesce(t.{n}, 0) <> coalesce(e.{n}, 0)" for n in told)
        query = _UNEQUAL.format(table=table, sums=sums, differs=differs)
        culprits = fetch(con, query, [batch_ids] * 2)
        if not culprits.is_empty():
            raise RepriceSumsError(table, culprits["batch_id"].to_list())


def _list(con: duckdb.DuckDBPyConnection, unit: Unit, order: Order, snapshot_id: int) -> None:
    """Add the unit's rows to `restatements`; all units of a run have one number."""
    number = """
        SELECT coalesce(max(number) FILTER (run_id = ?), coalesce(max(number), 0) + 1)
        FROM restatements
    """
    told = {
        "package_version": order.log.in_force(PACKAGE),
        "own_version": order.log.in_force(OWN_SOURCE),
        "reason": order.reason,
        "asked_by": order.asked_by,
        "run_id": order.run_id,
        "former_snapshot_id": snapshot_id,
    }
    columns = ("number", *LISTED, *told)
    values = ", ".join((f"({number})", *LISTED, *("?" for _ in told)))
    con.execute(
        f"INSERT INTO restatements ({', '.join(columns)}) SELECT {values} FROM read_parquet(?)",
        [order.run_id, *told.values(), str(unit.listing)],
    )


_DELETE = "DELETE FROM {} WHERE batch_id IN (SELECT unnest(?))"
_SUM_FILES = f"""
    UPDATE ingest_batches t SET {", ".join(f"{name} = n.{name}" for name in _LEDGER)}
    FROM (
        SELECT batch_id, sum(unpriced_events)::BIGINT AS unpriced_events,
            sum(cost_usd)::DECIMAL(38,18) AS cost_usd
        FROM ingest_files WHERE batch_id IN (SELECT unnest(?)) GROUP BY batch_id
    ) n WHERE t.batch_id = n.batch_id
"""
_SUMS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "ingest_batches": {"cost_usd": "cost_usd", "unpriced": "unpriced_events"},
        "ingest_files": {"cost_usd": "cost_usd", "unpriced": "unpriced_events"},
        "attribution_hourly": {"cost_usd": "cost_usd", "unpriced": "unpriced_attempts"},
        "users_daily": {"cost_usd": "cost_usd", "unpriced": "unpriced_attempts"},
        "unpriced_hourly": {"unpriced": "attempts"},
        "clocks_hourly": {"cost_usd": "cost_usd"},
    }
)
"""What each table says of its events' cost, and of how many have none."""
_UNEQUAL = """
    SELECT batch_id FROM (
        SELECT batch_id, {sums} FROM {table} WHERE batch_id IN (SELECT unnest(?)) GROUP BY batch_id
    ) t FULL JOIN (
        SELECT batch_id, sum(cost_usd) AS cost_usd, count(*) FILTER (cost_usd IS NULL) AS unpriced
        FROM events WHERE batch_id IN (SELECT unnest(?)) GROUP BY batch_id
    ) e USING (batch_id)
    WHERE {differs} ORDER BY batch_id
"""
