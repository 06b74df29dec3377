"""What a spike is, as a plain value with all that was measured of it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

SPIKE = "spike"
FAILING = "failing_burst"
CONCENTRATION = "concentration"
KINDS = (SPIKE, FAILING, CONCENTRATION)


@dataclass(frozen=True)
class Spike:
    """One window in which one series was far above its usual self.

    The columns of `spikes` say what each attribute means; of money, `usual_cost_usd` alone is an
    estimate, to six decimals.
    """

    kind: str
    rule_window: str
    window_start_at: datetime
    window_end_at: datetime
    dimension: str
    within: str
    value: str
    measure: str
    basis: str
    attempts: int
    requests: int
    usual_requests: float | None
    tokens: int
    usual_tokens: float | None
    cost_usd: Decimal
    usual_cost_usd: Decimal | None
    unpriced_attempts: int
    unpriced_low_usd: Decimal
    unpriced_high_usd: Decimal | None
    late_requests: int
    late_cost_usd: Decimal
    surprise: float | None
    surprise_needed: float | None
    failure_share: float | None
    usual_failure_share: float | None
    share: float | None
    usual_share: float | None
    series_looked_at: int
    covered_by: str | None = None

    @property
    def series(self) -> tuple[str, str, str]:
        """What it is a spike of."""
        return self.dimension, self.within, self.value

    @property
    def is_lead(self) -> bool:
        """Whether it is told on its own, and no other spike of the window in its place."""
        return self.covered_by is None

    @property
    def times(self) -> float | None:
        """How many times the usual it was, in its measure; None if nothing is usual."""
        usual = self.usual_of(self.measure)
        return float(getattr(self, self.measure)) / float(usual) if usual else None

    @property
    def extra_usd(self) -> Decimal:
        """What it cost more than usual, as far as is known."""
        return self.cost_usd - (self.usual_cost_usd or Decimal())

    def usual_of(self, measure: str) -> float | Decimal | None:
        """Return what is usual of a measure; None if nobody knows."""
        return getattr(self, f"usual_{measure}")

    def more_in(self, measure: str) -> float:
        """Return how much more than usual it was in a measure, for comparing spikes."""
        return float(getattr(self, measure)) - float(self.usual_of(measure) or 0)
