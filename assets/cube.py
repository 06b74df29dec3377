"""The cube stage's asset: additive sums of the run's events, staged for publishing."""

from typing import Any

import dagster as dg

from opsmeter_pipeline.cube import Sums, begin_sums
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
    events = staging.events("priced_measures")

    def stage(sums: Sums) -> dict[str, int]:
        for part in events.paths:
            sums.add(events.read(part, sums.reads))
        sums.add_redelivered(duplicates)
        figures: dict[str, int] = {}
        for name, rows in sums.tables():
            staging.write(f"cubes/{name}", rows)
            figures[name] = rows.height
        return figures

    # Each reads the events for itself: with two cores that is sooner done than sharing them.
    staged = map_bounded(stage, begin_sums(), workers=2)
    figures = {name: rows for one in staged for name, rows in one.items()}
    return dg.MaterializeResult(metadata=rows_metadata(sum(figures.values()), figures))
