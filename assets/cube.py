"""The cube stage's asset: additive sums of the run's events, staged for publishing."""

from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.cube import sum_events
from opsmeter_pipeline.orchestration.metadata import rows_metadata
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.publish import name_batches


@dg.asset(
    deps=["priced_events", "identity_verdicts"],
    partitions_def=INGEST_DAYS,
    group_name="cube",
    kinds={"polars", "parquet"},
)
def cube_sums(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult[Any]:
    """The rows this run adds to each cube table, staged.

    Sums by hour and day over all attribution dimensions, and latencies as counts per bucket.
    A blocking check holds them against the staged events before anything is published.
    """
    staging = home.staging(context.run.run_id)
    duplicates = name_batches(staging.read("duplicates"), staging.read_slices())
    parts = staging.event_parts("priced_measures")
    sums = sum_events(pl.concat(map(staging.read_events, parts)), duplicates)
    for name, rows in sums.items():
        staging.write(f"cubes/{name}", rows)
    figures = {name: rows.height for name, rows in sums.items()}
    return dg.MaterializeResult(metadata=rows_metadata(sum(figures.values()), figures))
