"""The Dagster instance of a home: its `dagster.yaml` and `workspace.yaml`.

Both are written anew at each start, so that a home made by an older version keeps working. One
publishing run at a time is the queue's limit: batches follow each other, and a backfill of many
days does not starve the machine. The second slot is for the job `quality`, which only reads, so
that what lands does not wait for it (ADR 0008).
"""

import os
import socket
from pathlib import Path

import dagster as dg
from filelock import FileLock

from opsmeter_pipeline.model.errors import InstanceMissingError
from opsmeter_pipeline.settings import Settings

_OWNER_TAG = "opsmeter/process"
_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
LOCATION = "opsmeter_pipeline"
_DAGSTER_YAML = """\
telemetry:
  enabled: false
python_logs:
  python_log_level: INFO  # a backfill would print all its events on the terminal; they are kept
concurrency:
  runs:
    max_concurrent_runs: 2
  pools:
    granularity: run
    default_limit: 1
sensors:
  use_threads: true  # one sensor that waits for a slow webhook would hold up the others
  num_workers: 4
run_monitoring:
  enabled: true
  start_timeout_seconds: 120
  poll_interval_seconds: 30  # a run that was killed while it started holds up the next
retention:
  sensor:
    purge_after_days: {skipped: 1, success: 30, failure: 30}
"""
_WORKSPACE_YAML = f"""\
load_from:
  - python_module:
      module_name: {LOCATION}.definitions
      location_name: {LOCATION}
"""


def write_instance_files(settings: Settings) -> None:
    """Write the instance's configuration into the home."""
    settings.dagster.mkdir(parents=True, exist_ok=True, mode=0o700)
    (settings.dagster / "dagster.yaml").write_text(_DAGSTER_YAML)
    (settings.dagster / "workspace.yaml").write_text(_WORKSPACE_YAML)


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Return the home's instance, created if it is not there.

    One process at a time: two that create Dagster's SQLite storage at once leave it with two
    migration heads, which no later start survives.
    """
    settings.dagster.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(settings.dagster / "instance.lock"):
        write_instance_files(settings)
        return dg.DagsterInstance.from_config(str(settings.dagster))


def open_kept_instance(settings: Settings) -> dg.DagsterInstance:
    """Return the home's instance as it is there; nothing is written, unlike in `open_instance`.

    Raises:
        InstanceMissingError: the home has none.
    """
    if not (settings.dagster / "dagster.yaml").is_file():
        raise InstanceMissingError(settings.home)
    return dg.DagsterInstance.from_config(str(settings.dagster))


def owner_tags() -> dict[str, str]:
    """Return the tags by which a run in this process is known to be alive."""
    return {_OWNER_TAG: f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"}


def own_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Tag a run with this process, unless the command that started it has.

    The daemon's code server watches the workers it started, and nobody watches them if both are
    killed at once: Dagster would show such a run as running for ever, and no other would begin.
    """
    if _OWNER_TAG not in run.tags:
        instance.add_run_tags(run.run_id, owner_tags())


def find_worker(run: dg.DagsterRun) -> int | None:
    """Return the process id of a run's worker, or None if it has not told it."""
    parts = run.tags.get(_OWNER_TAG, "").split(":")
    return int(parts[1]) if len(parts) > 1 else None


def runs_under_way(instance: dg.DagsterInstance, job_name: str) -> list[dg.DagsterRun]:
    """Return the job's runs that are waiting or running; dead ones are marked as failed.

    A run is tagged with its process. That of a command is watched by nobody else, and that of the
    daemon by its code server only, which may have been killed with it.
    """
    runs = instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=_ACTIVE))
    dead = [run for run in runs if _is_dead(run.tags.get(_OWNER_TAG))]
    for run in dead:
        instance.report_run_failed(run, "The process of this run is gone.")
    return [run for run in runs if run not in dead]


def is_over(instance: dg.DagsterInstance, run_id: str) -> bool | None:
    """Return whether a run has ended or was killed, or None if this instance knows no such run."""
    run = instance.get_run_by_id(run_id)
    return run.is_finished or _is_dead(run.tags.get(_OWNER_TAG)) if run else None


def _is_dead(owner: str | None) -> bool:
    host, _, process = (owner or "").partition(":")
    pid, _, started = process.partition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return started != "" and _started(int(pid)) != started


def _started(pid: int) -> str:
    """Return when a process began, as Linux counts it, or nothing where that is not told.

    After a restart of the machine or container another process soon has the same id.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
