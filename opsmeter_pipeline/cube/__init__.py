"""The cube stage: additive sums of a batch's events, and the proof that they conserve the totals.

`sums` makes the rows of each cube table, `conservation` judges them. Comes after `price`, before
`publish`.
"""

from opsmeter_pipeline.cube.conservation import (
    COMPARED,
    CONSERVED,
    judge_dimensions,
    judge_sums,
    judge_views,
)
from opsmeter_pipeline.cube.sums import (
    LATENCY_BASE,
    PRICED_MEASURES,
    READS,
    USER_BUCKETS_PER_STEP,
    latency_bucket,
    sum_events,
)

__all__ = [
    "COMPARED",
    "CONSERVED",
    "LATENCY_BASE",
    "PRICED_MEASURES",
    "READS",
    "USER_BUCKETS_PER_STEP",
    "judge_dimensions",
    "judge_sums",
    "judge_views",
    "latency_bucket",
    "sum_events",
]
