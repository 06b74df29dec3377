"""What one look costs over a year of cube: 500 endpoints, 5,000 prompt versions.

Makes the cube in a home of its own, asks for drift as the job does, and prints CPU seconds.
The figures in the cube are made up; only their number and their shape matter.
"""

import argparse
import resource
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Final

import duckdb
import polars as pl

from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.tables import (
    ATTRIBUTION_HOURLY,
    INPUT_STEPS,
    LATENCY_HOURLY,
    MEASURE_NAMES,
    OUTPUT_STEPS,
    TOKEN_MOMENTS_HOURLY,
    name_step,
)
from opsmeter_pipeline.storage.drift import look_for_drift, replace_drift
from opsmeter_pipeline.storage.lake import DATA, Lake
from opsmeter_pipeline.storage.staging import Staging

NOW: Final = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
ENDPOINTS: Final = 500
DAYS: Final = 365
VERSION_DAYS: Final = 36
"""How long a version lives: 10 in a year for each endpoint, 5,000 in all."""
GROUPS: Final = 2
"""Tenants and models that an endpoint sees in an hour."""
BUCKETS: Final = 4


def make_year(folder: Path) -> Lake:
    """Return a warehouse with a year of hourly cubes up to `NOW`, a file per week and table."""
    lake = Lake(folder)
    lake.create({})
    for table in _PARTS:
        (folder / DATA / "main" / table.name).mkdir(parents=True)
    start = NOW.replace(minute=0) - timedelta(days=DAYS)
    weeks = {table: _draw_week(table, parts) for table, parts in _PARTS.items()}
    for number in range(-(-DAYS // 7)):
        first = start + number * timedelta(days=7)
        paths = {
            table: folder / DATA / "main" / table.name / f"week-{number}.parquet"
            for table in _PARTS
        }
        for table, path in paths.items():
            _date_week(weeks[table], first).select(*table.schema).write_parquet(path)
        lake.transact(lambda con, paths=paths: _register(con, paths))
    return lake


def _register(con: duckdb.DuckDBPyConnection, paths: Mapping[Table, Path]) -> None:
    for table, path in paths.items():
        con.execute("CALL ducklake_add_data_files('lake', ?, ?)", [table.name, str(path)])


def _draw_week(table: Table, parts: int) -> pl.DataFrame:
    """Return what is the same each week: one row per hour, endpoint and part."""
    row = pl.int_range(7 * 24 * ENDPOINTS * parts, dtype=pl.Int64)
    endpoint, part = row // parts % ENDPOINTS, row % parts
    week = pl.select(hour=row // (parts * ENDPOINTS), endpoint=endpoint, part=part).with_columns(
        environment=pl.lit("prod"),
        data_mode=pl.lit("real"),
        provider=pl.lit("openai"),
        model=pl.lit("gpt-5-mini"),
        endpoint_tag=pl.format("area{}.action{}", pl.col("endpoint") // 10, "endpoint"),
        tenant_id=pl.format(
            "h_{}", (pl.col("endpoint") * 7 + pl.col("hour") * 3 + pl.col("part")) % 40
        ),
        n=20 + (pl.col("endpoint") * 31 + pl.col("hour") * 7 + pl.col("part")) % 60,
    )
    values = {name: value for name, value in _VALUES.items() if name in table.schema}
    return week.with_columns(
        value.cast(table.schema[name]).alias(name) for name, value in values.items()
    )


def _date_week(week: pl.DataFrame, first: datetime) -> pl.DataFrame:
    """Return the week's rows as of one week of the year."""
    hours = int(first.timestamp()) // 3600
    version = (hours + pl.col("hour") + pl.col("endpoint") * 17) // (VERSION_DAYS * 24)
    return week.with_columns(
        hour_at=pl.lit(first) + pl.duration(hours="hour"),
        batch_id=pl.lit(f"batch-{first:%Y%m%d}"),
        prompt_version=pl.format("v{}", version),
    ).filter(pl.col("hour_at") < NOW)


_N = pl.col("n")
_PARTS: Final = MappingProxyType(
    {ATTRIBUTION_HOURLY: GROUPS, TOKEN_MOMENTS_HOURLY: GROUPS, LATENCY_HOURLY: BUCKETS}
)
_VALUES: Final[Mapping[str, pl.Expr]] = MappingProxyType(
    {
        **dict.fromkeys(MEASURE_NAMES, pl.lit(0)),
        **dict.fromkeys(
            ("requests", "attempts", "finished_attempts", "costed_attempts", "timed_attempts"), _N
        ),
        **dict.fromkeys(("input_tokens", "finished_input_tokens"), _N * 1500),
        **dict.fromkeys(("output_tokens", "finished_output_tokens"), _N * 240 + pl.col("part")),
        "latency_ms": _N * 2000,
        "latency_bucket": 350 + pl.col("part") * 12 + _N % 5,
        "cost_usd": _N * Decimal("0.0009"),
        "cost": _N * 0.0009,
        "cost_squared": _N * 0.000002,
        "input_squared": _N * 4.5e6,
        "input_log": _N * 7.0,
        "input_log_squared": _N * 49.8,
        "output_squared": _N * 1.2e5,
        "output_log": _N * 5.2 + pl.col("part") - 0.5,
        "output_log_squared": _N * 27.8,
        **{name_step("input", one): (_N * min(1.0, 900 / one)).floor() for one in INPUT_STEPS},
        **{name_step("output", one): (_N * min(1.0, 90 / one)).floor() for one in OUTPUT_STEPS},
    }
)


def main() -> None:
    """Makes the cube, looks for drift three times, and prints what each look took."""
    parser = argparse.ArgumentParser(prog="benchmarks.drift.year", description=main.__doc__)
    parser.add_argument("--home", type=Path, help="Folder for the cube; kept. Else a new one.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = args.home or Path(scratch)
        lake = Lake(home / "warehouse")
        if not lake.exists:
            lake = make_year(home / "warehouse")
        for table in _PARTS:
            print(f"{table.name}: {lake.read(f'SELECT count(*) FROM {table.name}').item():,} rows")
        for _ in range(3):
            before = _cpu_seconds()
            found = look_for_drift(lake, now=NOW)
            looked = _cpu_seconds()
            replace_drift(lake, found, Staging(home / "staging", "bench"))
            written = _cpu_seconds()
            counts = dict(found.rows["verdict"].value_counts(sort=True).iter_rows())
            print(
                f"{looked - before:.2f} s CPU to look at {found.rows.height} versions, "
                f"{written - looked:.2f} s to write them: {counts}"
            )
    print(f"duckdb {duckdb.__version__}, polars {pl.__version__}")


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
