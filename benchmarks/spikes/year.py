"""What spikes cost over a year of cube: 500 endpoints, 5,000 versions, 3 models, 6.6 million rows.

Run `python -m benchmarks.spikes.year`. It fills a warehouse in a temporary folder, plants one
burst, and prints CPU seconds (user and system, of all threads) of one look, which must find it.
"""

import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from opsmeter_pipeline.model.columns import Column, Table
from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY, INGEST_BATCHES, USERS_DAILY
from opsmeter_pipeline.spikes import (
    SPIKE_RULES,
    Search,
    find_concentrations,
    find_spikes,
    fold_spikes,
)
from opsmeter_pipeline.spikes.score import DAY
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.price_book import PriceBook
from opsmeter_pipeline.storage.spikes import look_for_spikes, read_shares, read_traffic
from opsmeter_pipeline.views import VIEWS

END = datetime(2026, 11, 23, tzinfo=UTC)
HOURS, ENDPOINTS, ROWS_PER_HOUR, TENANTS, USERS = 365 * 24, 500, 750, 200, 2_000
BURST = ("e007", END - timedelta(hours=5))
_MADE = ("hour_at", "endpoint_tag", "prompt_version", "tenant_id", "provider", "model")
_COUNT = f"""
    ((20 + 100 * (1.2 + sin(epoch(hour_at) / 86400 * 2 * pi()))) * (0.7 + 0.6 * random())
        * CASE WHEN endpoint_tag = '{BURST[0]}' AND hour_at = TIMESTAMPTZ '{BURST[1]}'
            THEN 12 ELSE 1 END)::BIGINT
"""


def fill(lake: Lake) -> None:
    """Write a year of cube, month by month, as batches do."""
    lake.create({view.name: view.sql for view in VIEWS})
    for month in range(12):
        first, last = (END - timedelta(hours=HOURS - edge * HOURS // 12)
                       for edge in (month, month + 1))  # fmt: skip
        lake.transact(lambda con, a=first, b=last: _fill_month(con, a, b))


def measure(lake: Lake) -> None:
    """Print what each part of a look costs."""
    search = Search(END - timedelta(hours=24), END)
    rows = lake.read("SELECT count(*) AS n, count(DISTINCT prompt_version) AS v FROM "
                     "attribution_hourly").row(0)  # fmt: skip
    print(f"rows {rows[0]:,}, versions {rows[1]:,}, cores {os.cpu_count()}")
    with lake.connect(read_only=True, all_cores=True) as con:
        started = os.times()
        traffic = read_traffic(con, search, SPIKE_RULES)
        started = _tell("read the cube", started)
        shares = read_shares(con, search, SPIKE_RULES)
        started = _tell("read tenants and users", started)
    found = fold_spikes(find_spikes(traffic, search, SPIKE_RULES), traffic.cells, SPIKE_RULES)
    start, end = search.span(DAY)
    found += find_concentrations(shares, start_at=start, end_at=end, rules=SPIKE_RULES)
    started = _tell(f"judge {traffic.series.height:,} series", started)
    if not any((one.value, one.window_start_at) == BURST for one in found):
        sys.exit("The burst was not found.")
    looked = look_for_spikes(lake, PriceBook(), search)
    _tell(f"a whole look, {sum(one.is_lead for one in found)} spikes explained", started)
    for one, advice in looked.spikes:
        print(
            " ", one.rule_window, one.dimension, one.value, one.covered_by, advice and advice.driver
        )


def _tell(what: str, since: os.times_result) -> os.times_result:
    now = os.times()
    print(f"{what}: {now.user + now.system - since.user - since.system:.2f} s CPU")
    return now


def _fill_month(con: duckdb.DuckDBPyConnection, first: datetime, last: datetime) -> None:
    batch = f"b{first:%Y%m%d}"
    span = [first, last]
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE made AS
        WITH hours AS (SELECT unnest(generate_series($1::TIMESTAMPTZ,
                $2::TIMESTAMPTZ - INTERVAL 1 HOUR, INTERVAL 1 HOUR)) AS hour_at),
        picked AS (
            SELECT hour_at, n % {ENDPOINTS} AS e, hash(n, 7) % {TENANTS} AS t,
                n // {ENDPOINTS} AS second,
                ((epoch(hour_at) // 3600 // 876)::BIGINT % 10) AS v
            FROM hours, range({ROWS_PER_HOUR}) r(n)
        ), named AS (
            SELECT hour_at, format('e{{:03d}}', e) AS endpoint_tag,
                format('p{{}}_{{}}', e, v) AS prompt_version, format('t{{}}', t) AS tenant_id,
                'openai' AS provider, ['gpt-4o', 'gpt-4o-mini', 'o3'][second + 1] AS model
            FROM picked
        )
        SELECT *, {_COUNT} AS n FROM named""",
        span,
    )
    values = {
        "batch_id": f"'{batch}'", "environment": "'prod'", "data_mode": "'real'",
        "requests": "n", "attempts": "n", "input_tokens": "n * 900", "output_tokens": "n * 150",
        "cost_usd": "n * 0.0031",
    }  # fmt: skip
    _insert(con, ATTRIBUTION_HOURLY, values, "FROM made")
    users = values | {"day": "hour_at::DATE", "user_id": f"format('u{{}}', hash(n) % {USERS})"}
    _insert(con, USERS_DAILY, users, "FROM made USING SAMPLE 10 PERCENT")
    known = {"batch_id": f"'{batch}'", "taken_at": f"TIMESTAMPTZ '{first}'"}
    _insert(con, INGEST_BATCHES, known)


def _insert(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    values: dict[str, str],
    source: str = "",
) -> None:
    """Insert rows of a table: what is given, what the source has, and else 0, '' or null."""
    columns = ", ".join(
        values.get(column.name) or _fill(column, source) for column in table.columns
    )
    con.execute(f"INSERT INTO {table.name} SELECT {columns} {source}")


def _fill(column: Column, source: str) -> str:
    if source and column.name in _MADE:
        return column.name
    if column.nullable:
        return "NULL"
    return "0" if column.dtype.is_numeric() else "now()" if column.dtype.is_temporal() else "''"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        one = Lake(Path(folder) / "warehouse")
        fill(one)
        measure(one)
