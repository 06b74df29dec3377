"""The landing stage's asset: what of an ingest day this run takes."""

from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import LANDING_FINDINGS, LOOKED
from opsmeter_pipeline.orchestration.instance import is_over
from opsmeter_pipeline.orchestration.jobs import LANDED_SLICES, Take, TakeConfig
from opsmeter_pipeline.orchestration.metadata import preview, rows_metadata
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.plan import plan_replay, plan_run


@dg.asset(
    name=LANDED_SLICES,
    partitions_def=INGEST_DAYS,
    group_name="landing",
    kinds={"file", "polars"},
)
def landed_slices(
    context: dg.AssetExecutionContext, config: TakeConfig, home: HomeResource
) -> dg.MaterializeResult[Any]:
    """The slices of landed files this run takes, a row each, staged for the run.

    A slice is a whole file, or the whole lines a growing `.jsonl` gained. A normal run takes what
    is new; a backfill replays all slices of the day as well, a replay those of some batches and
    nothing new. Holds no telemetry.
    """
    now = utc_now()
    swept = home.sweep_dead_runs(is_over=partial(is_over, context.instance), now=now)
    landing, day = home.landing_files(), context.partition_time_window.start.date()
    if config.take is Take.BATCHES:
        plan = plan_replay(landing, home.lake, day=day, batch_ids=config.batches or [])
    else:
        plan = plan_run(
            landing,
            home.lake,
            settings=home.settings,
            now=now,
            day=day,
            replay=config.take is Take.DAY,
            batch_id=f"{now:%Y%m%dT%H%M%S.%f}-{context.run.run_id[:8]}",
        )
    findings = pl.DataFrame(
        [
            vars(one.landed) | {"finding": one.finding, "detail": one.detail, "found_at": now}
            for one in plan.findings
        ],
        schema=LANDING_FINDINGS.schema,
    )
    staging = home.staging(context.run.run_id)
    staging.write_slices(plan.slices)
    staging.write("findings", findings)
    staging.write(
        "replayed",
        pl.DataFrame({"batch_id": plan.replayed}, schema={"batch_id": pl.String}).with_columns(
            kind=pl.lit("replay" if config.take is Take.BATCHES else "backfill")
        ),
    )
    looks = [vars(plan.watermark)] if plan.watermark else []
    staging.write("watermark", pl.DataFrame(looks, schema=LOOKED))
    figures = {
        "bytes": sum(one.byte_end - one.byte_start for one in plan.slices),
        "replayed_batches": len(plan.replayed),
        "complete_through": str(plan.watermark.complete_through if plan.watermark else "unknown"),
        "missing_files": ", ".join(plan.missing) or "none",
        "findings": preview(findings),
        "swept_runs": ", ".join(swept) or "none",
    }
    return dg.MaterializeResult(metadata=rows_metadata(len(plan.slices), figures))
