"""The drift stage: whether a prompt version's unit cost moved against its baseline, and how sure.

`plan_pairs` says what is compared with what, `compare` tests and judges it, `find_odd_versions`
tells what is odd in how versions are told, `judge_drift` is the check's verdict. Frames in, frames
out; reading the cube is `storage.drift`'s. Comes after `publish`, in a job of its own. Formulas and
rules stand in docs/drift.md.

Tests are statistics and use floats; money is summed exactly and stays decimal.
"""

from datetime import datetime

import polars as pl

from opsmeter_pipeline.drift.alarm import DRIFT_CHECK, PROMPT_DRIFT, AlarmLimits, judge_drift
from opsmeter_pipeline.drift.limits import DRIFT_LIMITS, DriftLimits
from opsmeter_pipeline.drift.plan import PAIRS_SCHEMA, plan_pairs
from opsmeter_pipeline.drift.rows import build_rows
from opsmeter_pipeline.drift.tags import TAG_LIMITS, TagLimits, find_odd_versions
from opsmeter_pipeline.drift.verdicts import find_hidden, judge_pairs, weigh_pairs

__all__ = [
    "DRIFT_CHECK",
    "DRIFT_LIMITS",
    "PAIRS_SCHEMA",
    "PROMPT_DRIFT",
    "TAG_LIMITS",
    "AlarmLimits",
    "DriftLimits",
    "TagLimits",
    "compare",
    "find_odd_versions",
    "judge_drift",
    "plan_pairs",
]


def compare(
    pairs: pl.DataFrame,
    cells: pl.DataFrame,
    latencies: pl.DataFrame,
    *,
    now: datetime,
    limits: DriftLimits = DRIFT_LIMITS,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows of `prompt_version_drift`, and what each measure of each pair came to.

    Args:
        pairs: what is compared, of `PAIRS_SCHEMA`.
        cells: sums by `pair`, `is_new`, `provider`, `model` and `tenant_id`: the measures of both
            hourly cubes, and `day_cost_usd`, the cost of the last 24 hours.
        latencies: `latency_p95_ms` by `pair` and `is_new`.
        now: when this is computed (UTC).
        limits: what counts.
    """
    tested = weigh_pairs(cells, limits)
    judged = judge_pairs(tested, find_hidden(cells, limits), pairs["pair"], limits)
    return build_rows(pairs, cells, latencies, tested, judged, now=now), tested
