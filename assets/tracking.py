"""The tracking stage's asset: what the run's lines tell of their producers, staged."""

from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.landed import LandedFile
from opsmeter_pipeline.model.tables import (
    FIELD_PRESENCE_HOURLY,
    MANIFESTS,
    REFUSED,
    TRACKING_HOURLY,
)
from opsmeter_pipeline.orchestration.jobs import LANDED_SLICES
from opsmeter_pipeline.orchestration.metadata import rows_metadata
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.tracking import find_manifests_to_look_at, look_at_manifest
from opsmeter_pipeline.tracking.counts import (
    build_presence,
    build_tracking,
    count_refused,
)


@dg.asset(
    deps=["judged_events", "judged_quarantine", "identity_verdicts"],
    partitions_def=INGEST_DAYS,
    group_name="tracking",
    kinds={"polars", "parquet"},
)
def tracking_counts(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult[Any]:
    """The rows this run adds to `tracking_hourly` and `field_presence_hourly`, staged.

    Counts of lines by source, landing hour, endpoint and rule, and of the fields they had. The
    checks that look for dropped lines and common mistakes read nothing else of the telemetry.
    """
    staging = home.staging(context.run.run_id)
    slices = staging.read_slices()
    kept, present = (staging.scan_parts(name).collect() for name in ("kept", "present"))
    refused = count_refused(pl.concat(
        [REFUSED.empty(), *map(pl.read_parquet, staging.parts("refused"))]
    ))  # fmt: skip
    rows = {
        TRACKING_HOURLY: build_tracking(kept, refused, slices),
        FIELD_PRESENCE_HOURLY: build_presence(kept, present, slices),
    }
    for table, frame in rows.items():
        staging.write(f"tracking/{table.name}", frame)
    figures = {table.name: frame.height for table, frame in rows.items()}
    return dg.MaterializeResult(metadata=rows_metadata(sum(figures.values()), figures))


@dg.asset(
    deps=[LANDED_SLICES],
    partitions_def=INGEST_DAYS,
    group_name="tracking",
    kinds={"file", "json"},
)
def looked_manifests(
    context: dg.AssetExecutionContext, home: HomeResource
) -> dg.MaterializeResult[Any]:
    """The rows this run adds to `manifests`, staged: what producers say they sent.

    Looks at manifests that are new or changed, and at those of the files this run takes. A file
    whose manifest tells a checksum is read once more.
    """
    staging, now = home.staging(context.run.run_id), utc_now()
    listed = [LandedFile(**row) for row in staging.read("listed_manifests").iter_rows(named=True)]
    taken = {one.file for one in staging.read_slices()}
    landing = home.landing_files()
    looks = [
        look_at_manifest(landing, manifest, now=now)
        for manifest in find_manifests_to_look_at(home.lake, listed, taken=taken)
    ]
    staging.write("manifests", pl.DataFrame(looks, schema=MANIFESTS.schema))
    unusable = sum(look["problem"] is not None for look in looks)
    return dg.MaterializeResult(metadata=rows_metadata(len(looks), {"unusable": unusable}))
