"""The job `maintain`: upkeep of the warehouse and of Dagster's own records, on its schedule.

An op and no asset: it makes no rows, and what people read is the same before and after.
"""

from typing import Any

import dagster as dg

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.orchestration.history import trim_history
from opsmeter_pipeline.orchestration.jobs import MAINTAIN_JOB_NAME
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.maintenance import keep_up


def maintain(lake: Lake, instance: dg.DagsterInstance, settings: Settings) -> dict[str, int]:
    """Keep up the warehouse and the run history of a home once; return what was done, by name.

    Raises:
        WarehouseMissingError: there is no warehouse.
        WarehouseBusyError: the catalogue stayed locked; what was done before stays done.
    """
    now = utc_now()
    done = keep_up(lake, kept_for=settings.snapshots_kept_for, now=now)
    trimmed = trim_history(instance, settings.dagster, now=now)
    return {**vars(done), "deleted_runs": trimmed}


@dg.op(description="Merges small files, expires old snapshots and trims run history.")
def keep_up_home(context: dg.OpExecutionContext, home: HomeResource) -> dg.Output[Any]:
    """Keep up the home, and show what was done as the output's metadata."""
    done = maintain(home.lake, context.instance, home.settings)
    return dg.Output(None, metadata=done)


@dg.job(
    name=MAINTAIN_JOB_NAME,
    executor_def=dg.in_process_executor,
    description="Merge small files, expire old snapshots, delete what nobody needs.",
)
def maintain_job() -> None:
    """Wire the one op."""
    keep_up_home()
