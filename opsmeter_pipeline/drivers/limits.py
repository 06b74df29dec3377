"""From where on a change is a spike, a part of it worth naming, and a row late.

Shares are exact decimals of the cost or count they name. Where the field names a number it is
taken over and said; the others were chosen by hand so that the demo's faults are named. How often
they are right, and wrong by chance, is measured by `benchmarks.why.classify` (see docs/why.md).
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal


@dataclass(frozen=True)
class SpikeLimits:
    """From where on a change is a spike, and a part of it worth naming.

    Attributes:
        spike_share: growth of the cost, by the previous cost, from which it is a spike.
        part_of_total: what a driver must add, by the previous cost of all.
        part_of_own: likewise by its own previous cost.
        concentration_share: part of an endpoint's growth that one tenant, or of all growth that
            one user, must make (the field: top consumer above 50 % of spend).
        burst_ratio: by how much its requests must have multiplied.
        burst_requests: how many requests more it must have sent: few can double by chance.
        burst_share: by how much its share of the requests must have risen.
        deploy_share: by how much a prompt version's share of requests must have risen.
        unpriced_share: part of attempts without a price worth a caveat (the field: 2 %).
        late_after: how long after the end of its hour a row is late.
        mostly_late_share: from which part of a window's attempts on being late is usual (history
            that was loaded at once), and late rows are not split off.
        findings: how many are told at most.
    """

    spike_share: Decimal = Decimal("0.10")
    part_of_total: Decimal = Decimal("0.001")
    part_of_own: Decimal = Decimal("0.10")
    concentration_share: Decimal = Decimal("0.50")
    burst_ratio: int = 2
    burst_requests: int = 50
    burst_share: Decimal = Decimal("0.10")
    deploy_share: Decimal = Decimal("0.10")
    unpriced_share: Decimal = Decimal("0.02")
    late_after: timedelta = timedelta(hours=48)
    mostly_late_share: Decimal = Decimal("0.50")
    findings: int = 10


SPIKE_LIMITS = SpikeLimits()
