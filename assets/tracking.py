"""The tracking stage's asset: what the run's lines tell of their producers, staged."""

from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import (
    CLOCKS_HOURLY,
    FIELD_PRESENCE_HOURLY,
    MANIFESTS,
    REFUSED,
    TRACKING_HOURLY,
)
from opsmeter_pipeline.orchestration.metadata import rows_metadata
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.tracking import look_at_manifests
from opsmeter_pipeline.tracking.counts import (
    build_presence,
    build_tracking,
    count_refused,
)
from opsmeter_pipeline.tracking.lags import build_clocks, count_leads


@dg.asset(
    deps=["judged_events", "judged_quarantine", "identity_verdicts", "priced_events"],
    partitions_def=INGEST_DAYS,
    group_name="tracking",
    kinds={"polars", "parquet"},
)
def tracking_counts(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult[Any]:
    """The rows this run adds to `tracking_hourly`, its companions and `manifests`, staged.

    Counts of lines by source, landing hour, endpoint and rule, of the fields they had, and of how
    far apart their clocks were. The tracking checks read nothing else of the telemetry. Manifests
    are looked at when they are new or changed, or when the run takes their files.
    """
    staging, now = home.staging(context.run.run_id), utc_now()
    slices = staging.read_slices()
    kept, present = (staging.scan_parts(name).collect() for name in ("kept", "present"))
    lags = staging.scan_parts("lags").collect()
    broken = pl.concat([REFUSED.empty(), *map(pl.read_parquet, staging.parts("refused"))])
    refused = count_refused(broken)
    rows = {
        TRACKING_HOURLY: build_tracking(kept, refused, slices),
        FIELD_PRESENCE_HOURLY: build_presence(kept, present, slices),
        MANIFESTS: look_at_manifests(home.landing_files(), home.lake, slices=slices, now=now),
        CLOCKS_HOURLY: build_clocks(lags, count_leads(broken, slices), slices),
    }
    for table, frame in rows.items():
        staging.write(f"tracking/{table.name}", frame)
    figures = {table.name: frame.height for table, frame in rows.items()}
    return dg.MaterializeResult(metadata=rows_metadata(sum(figures.values()), figures))
