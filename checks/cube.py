"""The cube stage's check: sums equal their events before anything is published."""

from opsmeter_pipeline.cube import COMPARED, judge_sums
from opsmeter_pipeline.model.tables import CUBES
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_check
from opsmeter_pipeline.orchestration.resources import HomeResource


def _judge_staged_sums(home: HomeResource, run_id: str) -> Verdict:
    staging = home.staging(run_id)
    events = staging.scan_parts("priced_events").select(COMPARED).collect()
    cubes = {table.name: staging.read(f"cubes/{table.name}") for table in CUBES}
    return judge_sums(events, cubes, redelivered=staging.read("duplicates").height)


cube_equals_events = build_check(
    asset="cube_sums",
    name="cube_equals_events",
    description="Each cube sums up to the staged events in every measure, to the last digit. "
    "Nothing is published otherwise.",
    judge=_judge_staged_sums,
    blocking=True,
)
