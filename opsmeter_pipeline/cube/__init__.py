"""The cube stage: additive sums of a batch's events, and the proof that they conserve the totals.

`sums` makes the rows of each cube table: of what each event adds (`measures`, `moments`) to a group
that has a number (`keys`), in compiled loops (`kernel`). `unpriced` sums those without a price,
`conservation` judges them all. Comes after `price`, before `publish`.
"""

from opsmeter_pipeline.cube.conservation import (
    CONSERVED,
    PROVEN,
    Cut,
    Totals,
    cut_events,
    judge_dimensions,
    judge_sums,
    judge_views,
    sum_straight,
)
from opsmeter_pipeline.cube.measures import PRICED_MEASURES
from opsmeter_pipeline.cube.sums import (
    LATENCY_BASE,
    READS,
    USER_BUCKETS_PER_STEP,
    CubeSums,
    latency_bucket,
    sum_events,
)

__all__ = [
    "CONSERVED",
    "LATENCY_BASE",
    "PRICED_MEASURES",
    "PROVEN",
    "READS",
    "USER_BUCKETS_PER_STEP",
    "CubeSums",
    "Cut",
    "Totals",
    "cut_events",
    "judge_dimensions",
    "judge_sums",
    "judge_views",
    "latency_bucket",
    "sum_events",
    "sum_straight",
]
