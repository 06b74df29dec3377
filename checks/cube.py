"""The cube stage's checks: sums equal their events, by every dimension and in every view.

Both block: nothing is published while a total depends on how it is cut. Judged in one step.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from opsmeter_pipeline.cube import (
    PROVEN,
    Cut,
    Totals,
    cut_events,
    judge_dimensions,
    judge_sums,
    judge_views,
    sum_straight,
)
from opsmeter_pipeline.model.tables import CUBES
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_checks
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.audit import sum_views
from opsmeter_pipeline.storage.staging import Staging
from opsmeter_pipeline.views import VIEWS


def _judge_staged_sums(home: HomeResource, run_id: str) -> dict[str, Verdict]:
    """Judge what is staged: the sums, and the very files of events that will be published."""
    staging = home.staging(run_id)
    # One thread is enough for what the warehouse is asked, and leaves it time for the proof.
    with ThreadPoolExecutor(1) as beside:
        shown = beside.submit(sum_views, home.lake, staging, VIEWS)
        read = beside.submit(_read_cubes, staging)
        proven = [_prove(files) for files in staging.groups("priced_events")]
    straight, cuts = [one for one, _ in proven], [one for _, one in proven]
    cubes = read.result()
    redelivered = staging.read("duplicates").height
    return {
        "cube_equals_events": judge_sums(straight, cubes, redelivered=redelivered),
        "dimensions_equal_events": judge_dimensions(cuts, cubes),
        "views_equal_events": judge_views(cuts, shown.result()),
    }


def _read_cubes(staging: Staging) -> dict[str, pl.DataFrame]:
    return {table.name: staging.read(f"cubes/{table.name}") for table in CUBES}


def _prove(files: Sequence[Path]) -> tuple[Totals, Cut]:
    events = pl.concat(pl.read_parquet(file, columns=PROVEN) for file in files)
    return sum_straight(events), cut_events(events)


cube_checks = build_checks(
    asset="cube_sums",
    descriptions={
        "cube_equals_events": "Each cube sums up to the staged events in every measure, to the "
        "last digit. Nothing is published otherwise.",
        "dimensions_equal_events": "Each cube sums up to the staged events by each of its "
        "dimensions. Nothing is published otherwise.",
        "views_equal_events": "Each view over the staged cubes sums up to the staged production "
        "events. Nothing is published otherwise.",
    },
    judge=_judge_staged_sums,
    blocking=True,
)
