"""When a budget is ok, near its limit, exceeded or unknown: the one place that says so.

Warning from `warning_usd` on, that much included; exceeded strictly above the limit, so a budget
spent to the last cent is a warning. Where events have no price, both ends are judged.
"""

from dataclasses import dataclass
from decimal import Decimal

from opsmeter_pipeline.model.budget import Budget

OK, WARNING, EXCEEDED, UNKNOWN = "ok", "warning", "exceeded", "unknown"
STATES = (OK, WARNING, EXCEEDED, UNKNOWN)


@dataclass(frozen=True)
class Spend:
    """What events of a budget cost in a span of time.

    Attributes:
        attempts: events.
        unpriced_attempts: of these, without a price.
        unbounded_attempts: of these, of which nobody can tell what they cost.
        cost_usd: cost of the events that have a price.
        unpriced_low_usd: the least that the others cost.
        unpriced_high_usd: the most, without the unbounded ones.
    """

    attempts: int = 0
    unpriced_attempts: int = 0
    unbounded_attempts: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced_low_usd: Decimal = Decimal(0)
    unpriced_high_usd: Decimal = Decimal(0)

    @property
    def low_usd(self) -> Decimal:
        """The least that all of them cost."""
        return self.cost_usd + self.unpriced_low_usd

    @property
    def high_usd(self) -> Decimal | None:
        """The most; None if nobody can tell."""
        return None if self.unbounded_attempts else self.cost_usd + self.unpriced_high_usd


def judge_usd(usd: Decimal | None, budget: Budget) -> str:
    """Return the state of a sum; one that nobody can tell may be any.

    >>> support = Budget(name="support", limit_usd=Decimal(100))
    >>> [judge_usd(Decimal(usd), support) for usd in ("79.99", "80", "100", "100.01")]
    ['ok', 'warning', 'warning', 'exceeded']
    """
    if usd is None or usd > budget.limit_usd:
        return EXCEEDED
    return WARNING if usd >= budget.warning_usd else OK


def judge_spend(spend: Spend, budget: Budget) -> tuple[str, str, str]:
    """Return the state, then that of the least and that of the most which was spent.

    It is certain where both are the same; the most is never below the least.
    """
    least, most = judge_usd(spend.low_usd, budget), judge_usd(spend.high_usd, budget)
    return (least if least == most else UNKNOWN), least, most
