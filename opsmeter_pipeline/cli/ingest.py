"""`opsmeter run`: the Dagster job, batch after batch, in this process, until nothing waits."""

import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path

import dagster as dg
from rich.markup import escape

from opsmeter_pipeline.cli.app import err, print_json, print_table, spell_command
from opsmeter_pipeline.cli.status import tell
from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import (
    DiskFullError,
    OvertakenError,
    RunFailedError,
)
from opsmeter_pipeline.model.price_errors import (
    PricesOvertakenError,
)
from opsmeter_pipeline.orchestration.instance import open_instance, owner_tags
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME, take_new
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.settings import Settings, claim_landing, load_settings, read_claim
from opsmeter_pipeline.storage.lateness import note_look
from opsmeter_pipeline.storage.own_book import open_own_book
from opsmeter_pipeline.storage.price_log import PriceLog, read_log
from opsmeter_pipeline.storage.survey import Survey, survey_landing

_SUMMED = ("lines", "accepted", "duplicates", "quarantined", "blank")
_NO_ROOM_BYTES = 8 << 20
_TRIES = 3
_OVERTAKEN = (OvertakenError.__name__, PricesOvertakenError.__name__)
"""Errors after which nothing was written and the same run again may pass."""
_SEE_LOG = "see the run's log"
_FINDINGS = """
    SELECT file, finding, detail FROM landing_findings
    WHERE found_at >= ? AND finding <> 'touched'
"""


def run_command(*, home: Path | None, landing: str | None, as_json: bool) -> None:
    """Run the job until nothing waits and print the ledger of what was taken.

    Raises:
        OwnPricesError: the user's own prices cannot be used; nothing was taken.
    """
    settings = read_claim(load_settings(home=home, landing=landing))
    started_at = utc_now()
    open_own_book(settings)
    with _naming_a_full_disk(settings.home):
        ledger, survey = _take(settings)
        lake = open_home(settings).lake
        watermark = survey.watermark(lake, settings)
        note_look(lake, watermark)
    findings = lake.read(_FINDINGS, [started_at]).to_dicts()
    warn_waiting(read_log(lake), home)
    if as_json:
        print_json(ledger | tell(watermark) | {"findings": findings})
        return
    if not ledger["batches"]:
        err.print(escape(f"Nothing new in {settings.landing_root}."), soft_wrap=True)
    shown = ledger | {"cost_usd": f"{ledger['cost_usd']:.4f}"}
    print_table([shown], title="ledger")
    final = f"Complete through {watermark.complete_through:%Y-%m-%d %H:%M:%S} UTC; "
    err.print(f"{final}final before {watermark.final_before:%Y-%m-%d %H:%M:%S} UTC.")
    for finding in findings:
        named = escape(f"{finding['file']}: {finding['detail']}")
        err.print(f"[yellow]{finding['finding']}:[/yellow] {named}", soft_wrap=True)


def take_all_waiting(settings: Settings) -> dict[str, int | Decimal]:
    """Run the job until nothing waits; return the sums of what it took.

    Raises:
        RunFailedError: a run failed; what earlier runs published stays.
    """
    return _take(settings)[0]


def _take(settings: Settings) -> tuple[dict[str, int | Decimal], Survey]:
    """Do so, and return with it the look after which nothing waited."""
    home = open_home(settings)
    ledger = sum_taken(home, [])
    with open_instance(settings) as instance:
        while (day := (survey := _survey(home)).next_day(home.settings)) is not None:
            with err.status(f"taking what landed on {day} ..."):
                config = take_new(log_level="CRITICAL")
                run_id = run_job(instance, home, INGEST_JOB_NAME, config, day=day)
            taken = sum_taken(home, [run_id])
            ledger = {name: value + taken[name] for name, value in ledger.items()}
            err.print(f"{day}: {taken['lines']} lines, {taken['quarantined']} quarantined")
    return ledger, survey


def warn_waiting(log: PriceLog, home: Path | None) -> None:
    """Say on standard error which versions wait, if any do."""
    for one in log.waiting():
        text = (
            f"{one.source} {one.source_version} moves {one.moved_prices} prices by 50 % or more "
            f"and waits; the version before goes on pricing. See: {spell_command(home)} prices "
            f"pending"
        )
        err.print(f"[yellow]prices:[/yellow] {escape(text)}", soft_wrap=True)


@contextmanager
def _naming_a_full_disk(home: Path) -> Generator[None]:
    """Raise `DiskFullError` instead of whatever gave way first: staging, SQLite or Dagster."""
    try:
        yield
    except Exception as exc:
        free_bytes = shutil.disk_usage(home).free if home.exists() else _NO_ROOM_BYTES
        if free_bytes < _NO_ROOM_BYTES:
            raise DiskFullError(home, free_bytes) from exc
        raise


def open_home(settings: Settings) -> HomeResource:
    """Return the home the settings describe, its default landing created if it is missing."""
    claim_landing(settings)
    return HomeResource(home=str(settings.home), landing=settings.landing)


def _survey(home: HomeResource) -> Survey:
    now = utc_now()
    return survey_landing(home.landing_files(), home.lake, settings=home.settings, now=now)


def run_job(
    instance: dg.DagsterInstance,
    home: HomeResource,
    job: str,
    config: dg.RunConfig,
    *,
    day: date | None = None,
) -> str:
    """Run a job in this process, again if another run overtook it; return the run's id.

    Args:
        instance: the home's Dagster instance.
        home: the home.
        job: which job.
        config: what it is told.
        day: its ingest day, if it has one.

    Raises:
        RunFailedError: it failed; nothing of it was published.
    """
    for tries_left in reversed(range(_TRIES)):
        result = defs.resolve_job_def(job).execute_in_process(
            instance=instance,
            partition_key=day and day.isoformat(),
            run_config=config,
            resources={"home": home},
            tags=owner_tags(),
            raise_on_error=False,
        )
        if result.success:
            break
        failed = next((event for event in result.all_events if event.is_step_failure), None)
        data = failed.step_failure_data.error if failed else None
        error = (data.cause or data) if data else None
        if not tries_left or error is None or error.cls_name not in _OVERTAKEN:
            step = (failed.step_key if failed else None) or "the run"
            raise RunFailedError(result.run_id, step, error.message.strip() if error else _SEE_LOG)
    return result.run_id  # pyright: ignore[reportPossiblyUnboundVariable] - there is a first try


def sum_taken(home: HomeResource, run_ids: Sequence[str]) -> dict[str, int | Decimal]:
    """Return the ledger of the batches that these runs took or replayed, summed up."""
    sums = ", ".join(
        f"coalesce(sum({name}), 0)::BIGINT AS {name}"
        for name in (*_SUMMED, "files", "unpriced_events")
    )
    sql = f"""SELECT {sums}, count(*) AS batches,
        coalesce(sum(cost_usd), 0)::DECIMAL(38,18) AS cost_usd
        FROM ingest_batches WHERE run_id IN (SELECT unnest(?::VARCHAR[]))"""
    return home.lake.read(sql, [run_ids]).row(0, named=True)
