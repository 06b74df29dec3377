"""The Dagster instance of a home: its `dagster.yaml` and `workspace.yaml`.

Both are written anew at each start, so that a home made by an older version keeps working. One
run at a time is the queue's limit: batches follow each other, and a backfill of many days does
not starve the machine.
"""

import dagster as dg
from filelock import FileLock

from opsmeter_pipeline.settings import Settings

LOCATION = "opsmeter_pipeline"
_DAGSTER_YAML = """\
telemetry:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 1
run_monitoring:
  enabled: true
  start_timeout_seconds: 120
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
