"""The cube stage's check: sums equal their events before anything is published."""

import polars as pl

from opsmeter_pipeline.cube import judge_sums
from opsmeter_pipeline.model.tables import CUBES
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_check
from opsmeter_pipeline.orchestration.resources import HomeResource

_COMPARED = ("is_first_attempt", "input_tokens", "output_tokens", "latency_ms", "cost_usd")


def _judge_staged_sums(home: HomeResource, run_id: str) -> Verdict:
    staging = home.staging(run_id)
    events = staging.scan_parts("priced_events").select(pl.col(_COMPARED)).collect()
    return judge_sums(events, {t.name: staging.read(f"cubes/{t.name}") for t in CUBES})


cube_equals_events = build_check(
    asset="cube_sums",
    name="cube_equals_events",
    description="Each cube sums up to the staged events: requests, attempts, tokens and dollars, "
    "to the last digit. Nothing is published otherwise.",
    judge=_judge_staged_sums,
    blocking=True,
)
