"""From where on a prompt version has drifted, and when nobody can tell.

Shares are of what they are compared with. The numbers are judged by the bench in
`benchmarks/drift`; `evidence` and the steps of the tail were settled after its first runs.
docs/drift.md tells what each brings and costs.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class DriftLimits:
    """When a difference between two versions is one, and worth naming.

    Attributes:
        evidence: how many times likelier than chance a measure's difference must be; over all
            looks that anybody will ever take, chance passes it once in as many comparisons.
        false_share: part of all differences reported at one look that may be chance (e-BH).
        min_attempts: finished attempts that each side must have in groups that both have.
        min_tail: attempts above the tail's limit that each side must be expected to have.
        max_error: standard error of a ratio of means above which it is not judged: heavy tails
            are no bell curve before.
        min_change: least change of a ratio that is worth naming.
        min_failure_change: likewise of the share of failures, as a difference.
        min_tail_change: likewise of the share of long answers.
        tail_share: a step that more answers than this share are above is no tail.
        same_within: a measure is the same if no larger change can be excluded than this one.
        scale: size of change at which the test is most sensitive, of the log of a ratio.
        share_scale: likewise of a difference of shares.
        retry_spread: how much more retries vary than if they came one by one: they come in storms.
        deploy_for: how long after its first request a version is held against the one it replaced.
        baseline: how far back a baseline reaches.
        max_unpriced_growth: by how much the part of attempts without a price may grow for a version
            to be called the same, improved or another mix (the field calls 2 % too many).
        priced_share: part of attempts that must have a price for money to be compared.
    """

    evidence: float = 200.0
    false_share: float = 0.1
    min_attempts: int = 200
    min_tail: float = 20.0
    max_error: float = 0.1
    min_change: float = 0.05
    min_failure_change: float = 0.02
    min_tail_change: float = 0.5
    tail_share: float = 0.1
    same_within: float = 0.15
    scale: float = 0.1
    share_scale: float = 0.02
    retry_spread: float = 2.0
    deploy_for: timedelta = timedelta(days=7)
    baseline: timedelta = timedelta(days=7)
    max_unpriced_growth: float = 0.02
    priced_share: float = 0.5


DRIFT_LIMITS = DriftLimits()
