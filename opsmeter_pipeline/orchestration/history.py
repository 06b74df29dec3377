"""Upkeep of what Dagster keeps of runs: without it each batch leaves 0.8 MB for good.

The newest runs are kept for the UI. Of older ones, what still says something is: failures and
backfills for a month, and the newest success of each job and day, by which the UI knows what is
materialised. The warehouse's own ledger does not depend on any of it.
"""

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg

from opsmeter_pipeline.orchestration.records import BACKFILL, PARTITION

KEPT_RUNS = 1000
"""How many of the newest runs are kept whatever they were."""
KEPT_FOR = timedelta(days=30)
"""How long an older run is kept that failed, was cancelled or belongs to a backfill."""
_PAGE = 500
_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def trim_history(
    instance: dg.DagsterInstance, folder: Path, *, now: datetime, kept_runs: int = KEPT_RUNS
) -> int:
    """Delete old runs with their events and logs; return how many.

    Args:
        instance: the home's instance.
        folder: where it keeps its files.
        now: the present (UTC).
        kept_runs: how many of the newest runs are left alone.
    """
    doomed = [*_find_old(instance, now=now, kept_runs=kept_runs)]
    for run_id in doomed:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        _delete_event_file(folder, run_id)
    return len(doomed)


def _find_old(instance: dg.DagsterInstance, *, now: datetime, kept_runs: int) -> Iterator[str]:
    """Yield the ids of runs that say nothing any more, the newest first."""
    done: set[tuple[str, str | None]] = set()
    number = 0
    for record in _walk(instance):
        run, number = record.dagster_run, number + 1
        key = (run.job_name, run.tags.get(PARTITION))
        is_success = run.status == dg.DagsterRunStatus.SUCCESS
        is_newest = is_success and key not in done
        if is_success:
            done.add(key)
        tells = not is_success or BACKFILL in run.tags
        is_recent = now - record.create_timestamp < KEPT_FOR
        if number > kept_runs and not is_newest and not (tells and is_recent):
            yield run.run_id


def _walk(instance: dg.DagsterInstance) -> Iterator[dg.RunRecord]:
    """Yield the records of runs that have ended, the newest first."""
    cursor: str | None = None
    while page := instance.get_run_records(
        dg.RunsFilter(statuses=_ENDED), limit=_PAGE, cursor=cursor
    ):
        yield from page
        cursor = page[-1].dagster_run.run_id


def _delete_event_file(folder: Path, run_id: str) -> None:
    """Delete the file of a run's own events, which Dagster empties and leaves behind."""
    for file in (folder / "history" / "runs").glob(f"{run_id}.db*"):
        with contextlib.suppress(FileNotFoundError):
            file.unlink()
