"""The cube stage's checks: sums equal their events, by every dimension and in every view.

Both block: nothing is published while a total depends on how it is cut. Judged in one step.
"""

import polars as pl

from opsmeter_pipeline.cube import COMPARED, judge_dimensions, judge_sums, judge_views
from opsmeter_pipeline.model.tables import CUBES
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_checks
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.audit import sum_views
from opsmeter_pipeline.views import VIEWS


def _judge_staged_sums(home: HomeResource, run_id: str) -> dict[str, Verdict]:
    """Judge what is staged; the two readings of all events are not held at the same time."""
    staging = home.staging(run_id)
    cubes = {table.name: staging.read(f"cubes/{table.name}") for table in CUBES}
    redelivered = staging.read("duplicates").height
    published = staging.scan_parts("priced_events").select(COMPARED)
    straight = judge_sums(published.collect(), cubes, redelivered=redelivered)
    events = pl.concat(map(staging.read_events, staging.event_parts("priced_measures")))
    return {
        "cube_equals_events": straight,
        "dimensions_equal_events": judge_dimensions(events, cubes),
        "views_equal_events": judge_views(events, sum_views(home.lake, staging, VIEWS)),
    }


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
