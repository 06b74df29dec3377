"""A real home for a test: landing, DuckLake and Dagster instance, driven as the commands do.

Put here what several files of tests/pipeline need. Inputs that the stages' own tests share stand
in tests/scenario.py.
"""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import polars.selectors as cs
import pytest

from opsmeter_pipeline.cli import app
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import BATCH_TIMES, FRESHNESS_LAGS, TABLES, WATERMARKS
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME, take_new
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.settings import Settings, load_settings
from opsmeter_pipeline.storage.lake import fetch
from opsmeter_pipeline.storage.survey import survey_landing

REPO = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DAY = date(2025, 3, 10)
"""The ingest day of most landed files: long past, so that nothing depends on the clock."""
NOON = datetime(2025, 3, 10, 12, tzinfo=UTC)
MAX_RUNS = 25
CLOCKS = (
    "taken_at",
    "visible_at",
    "replayed_at",
    "run_id",
    "loaded_at",
    "resolved_at",
    "found_at",
    "final_at",
    "landing_lag_minutes",
)
"""Columns that say when and by which run; a repetition may differ in them."""
OF_A_HOME = (*CLOCKS, "batch_id", "decided_at", "decided_by")
"""Those and what else two homes may differ in that have taken the same."""


def payload(request: str = "r1", **fields: object) -> dict[str, object]:
    """Return a line that keeps the contract; a field of None is left out.

    It costs 1000 x 0.0000025 + 100 x 0.00001 = 0.0035 dollars.
    """
    line = {
        "externalRequestId": request,
        "provider": "openai",
        "model": "gpt-4o",
        "endpointTag": "chat.reply",
        "promptVersion": "v1",
        "tenantId": "t1",
        "userId": "u1",
        "inputTokens": 1000,
        "outputTokens": 100,
        "latencyMs": 250,
        "status": "success",
        "dataMode": "real",
        "environment": "prod",
        "timestamp": "2025-03-10T11:59:00Z",
    }
    return {name: value for name, value in (line | fields).items() if value is not None}


def jsonl(*lines: Mapping[str, object] | str, end: str = "\n") -> bytes:
    """Return lines as the bytes of a `.jsonl`, each with its line end; a text stays as it is."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return "".join(f"{text}{end}" for text in texts).encode()


@dataclass
class PipelineHome:
    """One home on disk, and a Dagster instance to run its job with."""

    folder: Path
    instance: dg.DagsterInstance

    def __post_init__(self) -> None:
        self.landing.mkdir(parents=True, exist_ok=True)
        self.resource = HomeResource(home=str(self.folder))

    @property
    def landing(self) -> Path:
        return self.folder / "landing"

    @property
    def settings(self) -> Settings:
        return load_settings(home=self.folder)

    def land(self, file: str, content: bytes, *, landed_at: datetime | None = NOON) -> Path:
        """Put a file into the landing; `landed_at` of None leaves the present time."""
        path = self.landing / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if landed_at is not None:
            set_landed_at(path, landed_at)
        return path

    def copy(self, folder: Path, *, instance: dg.DagsterInstance | None = None) -> "PipelineHome":
        """Return a copy that a test may change, with its runs in this instance or another."""
        shutil.copytree(self.folder, folder)
        return PipelineHome(folder, instance or self.instance)

    def next_day(self) -> date | None:
        """Return the ingest day that waits, asked as the sensor and `opsmeter run` ask it."""
        survey = survey_landing(
            self.resource.landing_files(), self.resource.lake, settings=self.settings, now=utc_now()
        )
        return survey.next_day(self.settings)

    def run(
        self, day: date = DAY, *, replay: bool = False, config: dg.RunConfig | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run the job once: what is new, or as a backfill does, which configures nothing."""
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return defs.resolve_job_def(INGEST_JOB_NAME).execute_in_process(
            instance=self.instance,
            partition_key=day.isoformat(),
            run_config=quiet if replay else config or take_new(log_level="CRITICAL"),
            resources={"home": self.resource},
            raise_on_error=False,
        )

    def take_all(self) -> int:
        """Run the job until nothing waits, and return how many runs that took."""
        for runs in range(MAX_RUNS):
            day = self.next_day()
            if day is None:
                return runs
            result = self.run(day)
            assert result.success, failure_of(result)
        msg = f"something still waits after {MAX_RUNS} runs"
        raise AssertionError(msg)

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.resource.lake.read(sql, parameters).rows()

    def value(self, sql: str, *parameters: object) -> Any:
        return self.resource.lake.read(sql, parameters).item()

    def findings(self) -> dict[str, str]:
        """Return the finding of each file that has one."""
        return dict(self.rows("SELECT file, finding FROM landing_findings"))

    def ledger(self, file: str) -> tuple[int, ...]:
        """Return a file's lines, accepted, duplicates, quarantined and blank over all batches."""
        columns = ", ".join(f"coalesce(sum({name}), 0)::BIGINT" for name in LEDGER)
        return self.rows(f"SELECT {columns} FROM ingest_files WHERE file = ?", file)[0]


LEDGER = ("lines", "accepted", "duplicates", "quarantined", "blank")


def set_landed_at(path: Path, landed_at: datetime) -> None:
    seconds = landed_at.timestamp()
    os.utime(path, (seconds, seconds))


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """Return why a run failed, for an assertion's message."""
    errors = [e.step_failure_data.error for e in result.all_events if e.is_step_failure]
    checks = [e for e in result.get_asset_check_evaluations() if not e.passed]
    texts = [(error.cause or error).message for error in errors if error]
    return "; ".join([*texts, *(f"{c.check_name}: {c.description}" for c in checks)])


def snapshot(
    home: PipelineHome, *, without: Sequence[str] = (), tables: Iterable[str] = ()
) -> dict[str, list[tuple[str, ...]]]:
    """Return all rows of all tables as sorted texts, so that two states compare exactly."""
    # What was known at each look, when and how late is nothing but clocks.
    clocks = (WATERMARKS, BATCH_TIMES, FRESHNESS_LAGS)
    names = [*tables] or [table.name for table in TABLES if table not in clocks]
    with home.resource.lake.connect(read_only=True) as con:
        # For these two DuckLake looks up the statistics of a table without rows column by column.
        con.execute("SET disabled_optimizers = 'join_order,statistics_propagation'")
        frames = {name: fetch(con, f"FROM {name}") for name in names}
        con.execute("RESET disabled_optimizers")
    return {name: _texts(frame.drop(without, strict=False)) for name, frame in frames.items()}


def without_clocks(
    home: PipelineHome, *, without: Sequence[str] = ()
) -> dict[str, list[tuple[str, ...]]]:
    """Return `snapshot` but for the columns that say when and by which run."""
    return snapshot(home, without=(*CLOCKS, *without))


def _texts(frame: pl.DataFrame) -> list[tuple[str, ...]]:
    # Floats are statistics alone, and their last digits depend on the order in which they add up.
    rounded = frame.with_columns(cs.float().round_sig_figs(9))
    return sorted(tuple(map(str, row)) for row in rounded.iter_rows())


def assert_balanced(home: PipelineHome) -> None:
    """Assert the promises that every state of a warehouse keeps, each by its own plain query."""
    sums = "lines = accepted + duplicates + quarantined + blank"
    for table in ("ingest_files", "ingest_batches"):
        assert home.rows(f"SELECT * FROM {table} WHERE NOT ({sums})") == [], table
    by_batch = "SELECT batch_id, {} FROM {} GROUP BY ALL HAVING n > 0 ORDER BY ALL"
    ledger = home.rows(by_batch.format("sum(accepted)::BIGINT AS n", "ingest_batches"))
    assert home.rows(by_batch.format("count(*) AS n", "events")) == ledger
    assert home.rows(by_batch.format("sum(attempts)::BIGINT AS n", "attribution_hourly")) == ledger
    assert home.rows(by_batch.format("sum(attempts)::BIGINT AS n", "users_daily")) == ledger
    refused = home.rows(by_batch.format("sum(quarantined)::BIGINT AS n", "ingest_batches"))
    assert home.rows(by_batch.format("count(*) AS n", "quarantine")) == refused
    files = "SELECT batch_id, {} FROM {} GROUP BY ALL ORDER BY ALL"
    columns = ", ".join(f"sum({name})::BIGINT" for name in (*LEDGER, "unpriced_events"))
    columns += ", sum(cost_usd)::DECIMAL(38,18)"
    assert home.rows(files.format(columns, "ingest_files")) == home.rows(
        files.format(columns, "ingest_batches")
    )
    cost = "coalesce(sum(cost_usd), 0)::DECIMAL(38,18)"
    totals = {
        home.value(f"SELECT {cost} FROM {table}")
        for table in ("events", "ingest_batches", "attribution_hourly", "users_daily")
    }
    assert len(totals) == 1, totals
    places = (
        "SELECT file, line_number FROM events UNION ALL SELECT file, line_number FROM quarantine"
    )
    assert home.rows(f"SELECT * FROM ({places}) GROUP BY ALL HAVING count(*) > 1") == []


def opsmeter(*arguments: str, home: Path | None = None, **environment: str) -> subprocess.Popen:
    """Start `opsmeter` as a process of its own, with its output in pipes."""
    return subprocess.Popen(
        [str(BIN / "opsmeter"), *arguments],
        env=_environment(home, environment),
        cwd=_folder(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_opsmeter(
    *arguments: str, home: Path | None = None, seconds: float = 120, **environment: str
) -> tuple[int, str, str]:
    """Run `opsmeter` to its end; return exit code, standard output and standard error."""
    process = opsmeter(*arguments, home=home, **environment)
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def call_opsmeter(
    *arguments: str, home: Path | None = None, **environment: str
) -> tuple[int, str, str]:
    """Return what `run_opsmeter` does, without the seconds that a process takes to start.

    For what a command says, how it exits and what it leaves behind. Locks, kills and what stands
    behind a file descriptor want a process.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    told = _environment(home, environment)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in {*os.environ} - {*told}:
            patch.delenv(name)
        for name, value in told.items():
            patch.setenv(name, value)
        patch.chdir(_folder(home))
        patch.setattr(sys, "argv", [str(BIN / "opsmeter"), *arguments])
        for console in (app.out, app.err):
            patch.setattr(console, "width", int(told["COLUMNS"] or 80))
        try:
            app.call()
            code = 0
        except SystemExit as exc:
            code = exc.code or 0
    return code, *(_text(stream) for stream in (out, err))


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()


def _environment(home: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    return clean_environment() | ({"OPSMETER_HOME": str(home)} if home else {}) | environment


def _folder(home: Path | None) -> Path:
    return home if home and home.is_dir() else REPO


def clean_environment() -> dict[str, str]:
    """Return the environment without settings of ours or Dagster's."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPSMETER_", "DAGSTER_"))
    } | {"COLUMNS": "200", "TZ": "UTC"}


def processes_of(folder: Path) -> list[tuple[int, str]]:
    """Return id and command of all processes that have this home in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"OPSMETER_HOME={folder}\0".encode() in (process / "environ").read_bytes():
                found.append(
                    (int(process.name), (process / "cmdline").read_text().replace("\0", " "))
                )
        except OSError:
            continue
    return found


def hours(number: float) -> timedelta:
    return timedelta(hours=number)
