"""What the warehouse says about two windows: sums by group, read on one snapshot.

Reads the cube, once, into groups; everything else is summed from these. By user there are whole
UTC days only (`users_daily`): for the part days at the ends of a window, less than two days in
all, events are read. What the sums mean is judged in `drivers`.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from opsmeter_pipeline.drivers import Compared
from opsmeter_pipeline.drivers.dimensions import OTHERS
from opsmeter_pipeline.drivers.factors import MEASURES
from opsmeter_pipeline.drivers.windows import Comparison
from opsmeter_pipeline.model.sql import OF_EVENT
from opsmeter_pipeline.model.tables import COST_DRIVERS
from opsmeter_pipeline.storage.lake import Lake, fetch, quote
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.reference_prices import read_reference_prices

_KEYS = ("endpoint_tag", "prompt_version", "provider", "model", "tenant_id")
_PLACES = {
    "endpoint_tag": ("''", "endpoint_tag"),
    "prompt_version": ("endpoint_tag", "prompt_version"),
    "model": ("provider", "model"),
    "tenant_id": ("''", "tenant_id"),
}
"""Of each dimension of the groups, what its values stand within, and the value."""
_TIER = "environment = $environment AND data_mode = $data_mode"
_TYPE = {name: "DECIMAL(38,18)" if name == "cost_usd" else "BIGINT" for name in MEASURES}
_EACH = ", ".join(f"sum({name})::{kind} AS {name}" for name, kind in _TYPE.items())
"""The select list of all measures of one window."""
_BOTH = ", ".join(
    f"coalesce(sum({name}) FILTER ({which}), 0)::{kind} AS {prefix}{name}"
    for name, kind in _TYPE.items()
    for prefix, which in (("", "is_window"), ("previous_", "NOT is_window"))
)
"""The select list that lays the sums of both windows side by side."""
_SUMS = ", ".join(
    f"sum({prefix}{name})::{kind} AS {prefix}{name}"
    for name, kind in _TYPE.items()
    for prefix in ("", "previous_")
)
"""The select list that sums up such groups."""
_TENANTS = f"""
    FROM (SELECT endpoint_tag, tenant_id, {_SUMS} FROM groups_compared GROUP BY ALL)
    QUALIFY row_number() OVER (
        PARTITION BY endpoint_tag ORDER BY cost_usd - previous_cost_usd DESC, tenant_id
    ) = 1
"""
"""Of each endpoint the tenant whose cost grew most."""


def read_compared(
    lake: Lake, book: PriceBook, comparison: Comparison, *, late_after: timedelta
) -> Compared:
    """Return what the two windows hold, all sums of it on one snapshot.

    Args:
        lake: the warehouse.
        book: the installed package; see `read_reference_prices`.
        comparison: the windows, the environment and the data mode.
        late_after: how long after the end of its hour a row's batch may have been taken; a row
            that came later `is_late`.

    Raises:
        WarehouseMissingError: there is no warehouse yet.
    """
    with lake.connect(read_only=True, all_cores=True) as con:
        _group(con, comparison, late_after)
        by_value = [
            _sum_by(con, f"'{dimension}' AS dimension, {within} AS within, {value} AS value")
            for dimension, (within, value) in _PLACES.items()
        ]
        cells = _sum_by(con, "endpoint_tag, provider, model, is_late")
        names = cells.select("provider", "model").unique()
        return Compared(
            cells=cells,
            values=pl.concat([*by_value, _read_users(con, comparison)]),
            tenants=fetch(con, _TENANTS),
            prices=read_reference_prices(lake, book, names, comparison=comparison),
            newest_hour_at=fetch(con, "SELECT max(newest_hour_at) FROM groups_compared").item(),
        )


def replace_drivers(lake: Lake, path: Path) -> None:
    """Put staged rows of `cost_drivers` in the place of those of the same windows.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    same = " AND ".join(
        f"n.{name} = cost_drivers.{name}"
        for name in ("window_start_at", "window_end_at", "environment", "data_mode")
    )

    def write(con: duckdb.DuckDBPyConnection) -> None:
        source = "read_parquet(?)"
        con.execute(
            f"DELETE FROM cost_drivers WHERE EXISTS (SELECT 1 FROM {source} n WHERE {same})",
            [str(path)],
        )
        columns = ", ".join(COST_DRIVERS.schema)
        con.execute(f"INSERT INTO cost_drivers SELECT {columns} FROM {source}", [str(path)])

    lake.transact(write)


def _group(con: duckdb.DuckDBPyConnection, one: Comparison, late_after: timedelta) -> None:
    """Sum up both windows by all dimensions but the user, in a table of this connection.

    Summed first and laid side by side then: with a filter in each sum over all rows, reading a
    year took 8.5 s and not 3.6 s.
    """
    con.execute(
        f"""CREATE TEMP TABLE groups_compared AS
        SELECT {", ".join(_KEYS)}, is_late, max(newest_hour_at) AS newest_hour_at, {_BOTH}
        FROM (
            SELECT {", ".join(_KEYS)}, coalesce(taken_at > hour_at + $late, false) AS is_late,
                hour_at >= $start AS is_window, max(hour_at) AS newest_hour_at, {_EACH}
            FROM attribution_hourly
            LEFT JOIN (SELECT batch_id, taken_at FROM ingest_batches) USING (batch_id)
            WHERE hour_at >= $previous AND hour_at < $end
                AND (hour_at < $previous_end OR hour_at >= $start)
                AND {_tier(one)} AND attempts > 0
            GROUP BY ALL
        ) GROUP BY ALL""",
        {
            "late": timedelta(hours=1) + late_after,
            "previous": one.previous_start_at,
            "previous_end": one.previous_end_at,
            "start": one.start_at,
            "end": one.end_at,
            "environment": one.environment,
            "data_mode": one.data_mode,
        },
    )


def _tier(one: Comparison) -> str:
    """Return the condition of rows that are compared."""
    return " AND ".join([_TIER, *(f"{column} = {quote(value)}" for column, value in one.scope)])


def _sum_by(con: duckdb.DuckDBPyConnection, keys: str) -> pl.DataFrame:
    return fetch(con, f"SELECT {keys}, {_SUMS} FROM groups_compared GROUP BY ALL")


def _read_users(con: duckdb.DuckDBPyConnection, one: Comparison) -> pl.DataFrame:
    """Return both windows' sums by tenant and user: whole days as summed, part days from events.

    By user there is no cube of an endpoint or a model: of a part of all, nobody is named.
    """
    if one.scope:
        return _sum_by(con, f"'user_id' AS dimension, '' AS within, '{OTHERS}' AS value")
    starts = (one.previous_start_at, one.start_at)
    ends = (one.previous_end_at, one.end_at)
    whole = [_whole_days(*window) for window in zip(starts, ends, strict=True)]
    days = [f"day >= DATE '{a.date()}' AND day < DATE '{b.date()}'" for a, b in whole]
    hours = [
        f"occurred_at >= TIMESTAMPTZ '{a}' AND occurred_at < TIMESTAMPTZ '{b}'"
        for start, end, (first, last) in zip(starts, ends, whole, strict=True)
        for a, b in _part_days(start, end, first=first, last=last)
    ]
    counted = ", ".join(f"{OF_EVENT.get(name, name)} AS {name}" for name in MEASURES)
    events = f"""
        UNION ALL SELECT tenant_id, user_id, occurred_at >= $start AS is_window, {counted}
        FROM events WHERE {_TIER} AND ({" OR ".join(f"({part})" for part in hours)})
    """
    sql = f"""
        SELECT 'user_id' AS dimension, tenant_id AS within, user_id AS value, {_BOTH}
        FROM (
            SELECT tenant_id, user_id, is_window, {_EACH} FROM (
                SELECT tenant_id, user_id, day >= ($start AT TIME ZONE 'UTC')::DATE AS is_window,
                    {", ".join(MEASURES)}
                FROM users_daily
                WHERE {_TIER} AND attempts > 0 AND ({" OR ".join(f"({part})" for part in days)})
                {events if hours else ""}
            ) GROUP BY ALL
        ) GROUP BY ALL
    """
    parameters = {"start": one.start_at, "environment": one.environment, "data_mode": one.data_mode}
    con.execute(f"CREATE TEMP TABLE users_compared AS {sql}", parameters)  # `fetch` binds no names
    return fetch(con, "FROM users_compared")


def _whole_days(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return the first midnight from the start on, and the last up to the end, UTC."""
    first = start.replace(hour=0) + timedelta(days=start.hour > 0)
    last = end.replace(hour=0)
    return (first, last) if first < last else (first, first)


def _part_days(
    start: datetime, end: datetime, *, first: datetime, last: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Yield what a window has beside its whole days; all of it if it has none."""
    parts = [(start, end)] if first == last else [(start, first), (last, end)]
    yield from ((a, b) for a, b in parts if a < b)
