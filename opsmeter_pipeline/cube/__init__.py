"""The cube stage: additive sums of a batch's events, and the proof that they conserve the totals.

`sums` makes the rows of each cube table, `conservation` judges them. Comes after `price`, before
`publish`.
"""

from opsmeter_pipeline.cube.conservation import (
    COMPARED,
    CONSERVED,
    cut_events,
    judge_dimensions,
    judge_sums,
    judge_views,
    sum_straight,
)
from opsmeter_pipeline.cube.sums import (
    LATENCY_BASE,
    PRICED_MEASURES,
    READS,
    USER_BUCKETS_PER_STEP,
    Sums,
    build_cubes,
    latency_bucket,
    sum_events,
    sum_part,
)

__all__ = [
    "COMPARED",
    "CONSERVED",
    "LATENCY_BASE",
    "PRICED_MEASURES",
    "READS",
    "USER_BUCKETS_PER_STEP",
    "Sums",
    "build_cubes",
    "cut_events",
    "judge_dimensions",
    "judge_sums",
    "judge_views",
    "latency_bucket",
    "sum_events",
    "sum_part",
    "sum_straight",
]
