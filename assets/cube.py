"""The cube stage's asset: additive sums of the run's events, staged for publishing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.cube import Sums, build_cubes, sum_part
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
def cube_sums(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult[Any]:
    """The rows this run adds to each cube table, staged.

    Sums by hour and day over all attribution dimensions, and latencies as counts per bucket.
    A blocking check holds them against the staged events before anything is published.
    """
    staging = home.staging(context.run.run_id)
    duplicates = name_batches(staging.read("duplicates"), staging.read_slices())
    measures = staging.events("priced_measures")
    groups = measures.groups
    redelivered = [duplicates, *[duplicates.clear()] * (len(groups) - 1)]

    def sum_group(one: tuple[Sequence[Path], pl.DataFrame]) -> Sums:
        return sum_part(measures.read_together(one[0]), one[1])

    summed = map_bounded(sum_group, zip(groups, redelivered, strict=True), workers=2)
    figures: dict[str, int] = {}
    for name, rows in build_cubes(summed):
        staging.write(f"cubes/{name}", rows)
        figures[name] = rows.height
    return dg.MaterializeResult(metadata=rows_metadata(sum(figures.values()), figures))
