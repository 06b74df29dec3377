"""The cube stage's asset: additive sums of the run's events, staged for publishing."""

from pathlib import Path

import dagster as dg
import polars as pl

from opsmeter_pipeline.cube import READS, merge_sums, sum_duplicates, sum_events
from opsmeter_pipeline.model.tables import CUBES
from opsmeter_pipeline.orchestration.metadata import rows_metadata
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.publish import name_batches
from opsmeter_pipeline.storage.parallel import map_bounded


@dg.asset(
    deps=["priced_events", "identity_verdicts"],
    partitions_def=INGEST_DAYS,
    group_name="cube",
    kinds={"polars", "parquet"},
)
def cube_sums(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """The rows this run adds to each cube table, staged.

    Sums by hour and day over all attribution dimensions, and latencies as counts per bucket.
    A blocking check holds them against the staged events before anything is published.
    """
    staging = home.staging(context.run_id)

    def sum_part(part: Path) -> dict[str, pl.DataFrame]:
        return sum_events(pl.read_parquet(part, columns=READS, glob=False))

    sums = [*map_bounded(sum_part, staging.parts("priced_events"))]
    sums.append(sum_duplicates(name_batches(staging.read("duplicates"), staging.read_slices())))
    rows = {}
    for table in CUBES:
        merged = merge_sums(table, [part[table.name] for part in sums if table.name in part])
        staging.write(f"cubes/{table.name}", merged)
        rows[table.name] = merged.height
    return dg.MaterializeResult(metadata=rows_metadata(sum(rows.values()), rows))
