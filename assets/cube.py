"""The cube stage's asset: additive sums of the run's events, staged for publishing.

Made in the step that prices the events (`assets.price`), while they are in memory: reading them
once more took a tenth of a run.
"""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from opsmeter_pipeline.cube import CubeSums
from opsmeter_pipeline.model.landed import Slice
from opsmeter_pipeline.orchestration.metadata import Figure, rows_metadata
from opsmeter_pipeline.publish import name_batches
from opsmeter_pipeline.storage.parallel import map_bounded
from opsmeter_pipeline.storage.staging import Staging


def specify_sums() -> dg.AssetSpec:
    """Return what the catalogue tells of the asset."""
    return dg.AssetSpec(
        "cube_sums",
        deps=["priced_events", "identity_verdicts"],
        description="The rows this run adds to each cube table, staged: sums by hour and day over "
        "all attribution dimensions, and latencies as counts per bucket. Blocking checks hold them "
        "against the staged events before anything is published.",
        group_name="cube",
        kinds={"polars", "parquet"},
    )


def stage_sums(staging: Staging, sums: CubeSums, slices: Sequence[Slice]) -> dict[str, Figure]:
    """Add the run's redelivered lines, write the rows of each cube table, and tell how many."""

    def write(table: tuple[str, pl.DataFrame]) -> tuple[str, int]:
        name, rows = table
        staging.write(f"cubes/{name}", rows)
        return name, rows.height

    sums.add_redelivered(name_batches(staging.read("duplicates"), slices))
    # One table is written while the next is made.
    figures = dict(map_bounded(write, sums.tables(), workers=1))
    return rows_metadata(sum(figures.values()), figures)
