"""CPU time of all budgets over a year of cube, in a real warehouse made for it.

Run `python -m benchmarks.budget.measure`. The cube has a row for each hour and endpoint, 500
endpoints of 10 prompt versions each, one after the other; 50 budgets of all kinds and six zones.
There are no events: hours that half-hour zones cut are asked for and found empty. Prints, asserts
a sum, holds no time against a limit.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from opsmeter_pipeline.model.budget import Budget
from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY, WATERMARKS
from opsmeter_pipeline.storage.budget import compute, refresh
from opsmeter_pipeline.storage.lake import DATA, Lake

NOW = datetime(2026, 11, 28, 9, 20, tzinfo=UTC)
DAYS, ENDPOINTS, VERSIONS, TENANTS = 365, 500, 10, 200
BUDGETS = 50
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu",
         "America/St_Johns")  # fmt: skip
_DAY = f"""
    SELECT 'batch-' || $1 AS batch_id, TIMESTAMPTZ '{NOW.date()} 00:00:00+00' - to_days($1::INT)
            + to_hours(h::INT) AS hour_at,
        'prod' AS environment, 'real' AS data_mode, 'openai' AS provider,
        'gpt-' || (e % 7) AS model, 'area.endpoint_' || e AS endpoint_tag,
        'v' || ($1 * {VERSIONS} // {DAYS}) AS prompt_version, 't_' || ((e * 7 + h) % {TENANTS})
            AS tenant_id,
        10::BIGINT AS requests, 10::BIGINT AS attempts, 1::BIGINT AS unpriced_attempts,
        0::BIGINT AS unbounded_attempts,
        0.000001::DECIMAL(38,18) AS unpriced_low_usd, 0.000002::DECIMAL(38,18) AS unpriced_high_usd,
        (0.001 * (1 + e % 13) * (1 + h % 5))::DECIMAL(38,18) AS cost_usd
    FROM range({ENDPOINTS}) AS endpoints(e), range(24) AS hours(h)
"""


def main() -> None:
    """Make the warehouse, compute, print."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "warehouse")
        lake.create({})
        _fill(lake)
        budgets = [*_list_budgets(ZONES)]
        plain = [*_list_budgets(ZONES[:3])]
        print(f"a loop of 3,000,000 squares takes {_calibrate():.2f} s CPU here and now")
        whole = lake.read("SELECT count(*), count(DISTINCT prompt_version) FROM attribution_hourly")
        print(f"{whole.row(0)[0]:,} rows of cube, {DAYS} files, {len(budgets)} budgets")
        for name, ask in (
            ("first look, written", lambda: refresh(lake, budgets, now=NOW)),
            ("next look, written", lambda: refresh(lake, budgets, now=NOW + timedelta(minutes=5))),
            ("look that writes nothing", lambda: compute(lake, budgets, now=NOW)),
            ("likewise, whole-hour zones", lambda: compute(lake, plain, now=NOW)),
        ):
            begun, wall = time.process_time(), time.perf_counter()
            found = ask()
            cpu, took = time.process_time() - begun, time.perf_counter() - wall
            states = found.rows["state"].value_counts(sort=True).rows()
            print(f"{name:27} {cpu:.2f} s CPU, {took:.2f} s; {found.rows.height} rows, {states}")
        _prove(lake)


def _fill(lake: Lake) -> None:
    folder = lake.folder / DATA / "main" / ATTRIBUTION_HOURLY.name
    folder.mkdir(parents=True)
    missing = [name for name in ATTRIBUTION_HOURLY.schema if f" AS {name}" not in _DAY]
    zeros = "".join(f", 0::{'DECIMAL(38,18)' if n.endswith('_usd') else 'BIGINT'} AS {n}"
                    for n in missing if n != "tenant_id")  # fmt: skip
    columns = ", ".join(ATTRIBUTION_HOURLY.schema)

    def write(con: Any) -> None:  # noqa: ANN401 - DuckDB's connection
        for day in range(DAYS):
            path = folder / f"day-{day}.parquet"
            con.execute(
                f"COPY (SELECT {columns} FROM (SELECT *{zeros} FROM "
                f"({_DAY.replace('$1', str(day))}))) TO '{path}'"
            )
            con.execute("CALL ducklake_add_data_files('lake', ?, ?)",
                        [ATTRIBUTION_HOURLY.name, str(path)])  # fmt: skip
        look = {
            "number": 1,
            "batch_id": None,
            "looked_at": NOW,
            "complete_through": NOW,
            "waiting_files": 0,
            "refused_files": 0,
            "lateness_allowance_seconds": 86400,
        }
        marks = ", ".join("?" for _ in look)
        con.execute(f"INSERT INTO {WATERMARKS.name} ({', '.join(look)}) VALUES ({marks})",
                    [*look.values()])  # fmt: skip

    lake.transact(write)


def _calibrate() -> float:
    """Return what a fixed amount of work takes: beside others a CPU second does less."""
    begun = time.process_time()
    sum(number * number for number in range(3_000_000))
    return time.process_time() - begun


def _list_budgets(zones: Sequence[str]) -> Iterator[Budget]:
    """Yield budgets of all kinds; about half of them are near their limit or above it."""
    scopes: tuple[dict[str, str], ...] = (
        {}, {"endpoint": "area.endpoint_{}"}, {"tenant": "t_{}"}, {"model": "gpt-{}"},
        {"provider": "openai"}, {"endpoint": "area.endpoint_{}*"}, {"environment": "*"},
        {"tenant": "t_{}", "model": "gpt-*"},
    )  # fmt: skip
    for number in range(BUDGETS):
        scope = {name: text.format(number % 7) for name, text in
                 scopes[number % len(scopes)].items()}  # fmt: skip
        told = {"name": f"budget {number:02}", "limit_usd": Decimal(10) ** (number % 4),
                "period": "daily" if number % 2 else "monthly",
                "zone": zones[number % len(zones)], **scope}  # fmt: skip
        yield Budget.model_validate(told)


def _prove(lake: Lake) -> None:
    """Assert that a budget of all production in UTC is the month's cost."""
    (found,) = lake.read(
        "SELECT spent_usd FROM budget_status WHERE budget = 'budget 00' AND period = 'monthly'"
    )["spent_usd"]
    (straight,) = lake.read(
        "SELECT sum(cost_usd)::DECIMAL(38,18) AS c FROM attribution_hourly "
        "WHERE hour_at >= TIMESTAMPTZ '2026-11-01 00:00:00+00' AND environment = 'prod'"
    )["c"]
    assert found == straight, (found, straight)  # noqa: S101 - a measurement of nothing is none
    print(f"budget 00: {found:f} USD, as the cube says")


if __name__ == "__main__":
    main()
