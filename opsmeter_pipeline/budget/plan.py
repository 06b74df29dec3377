"""Which budgets are computed for which periods: the present ones, and those that may have changed.

A budget has rows from the period in which it was first computed. One that is over keeps what the
budget said when it was last computed before its end, and is computed again until it is final, and
whenever a publish changes one of its days.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from opsmeter_pipeline.budget.periods import Period, find_period, list_periods, touches
from opsmeter_pipeline.model.budget import SCOPE_COLUMNS, Budget

MOST_PERIODS = 400
"""How many periods of a budget are made up for at once, if nothing looked for long."""


class Touched(NamedTuple):
    """A change of a publish to a UTC day, a row of `day_changes`."""

    number: int
    batch_id: str
    day: date
    kind: str


@dataclass(frozen=True)
class Known:
    """What the table knows of a budget in a period.

    Attributes:
        budget: what it said then.
        period: which.
        row: the row of `budget_status`.
    """

    budget: Budget
    period: Period
    row: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """What makes it one row."""
        return self.budget.name, self.period.name

    @property
    def spent_usd(self) -> Decimal:
        """Cost of the events that have a price, as it was."""
        return self.row["spent_usd"]

    def list_touches(self, changes: Sequence[Touched]) -> list[Touched]:
        """Return the changes to its days that it does not count yet."""
        newer = [one for one in changes if one.number > self.row["changes_through"]]
        days = {one.day for one in newer}
        touched = {day for day in days if touches(self.period, [day])}
        return [one for one in newer if one.day in touched]


@dataclass(frozen=True)
class Asked:
    """A budget in a period that is to be computed.

    Attributes:
        budget: what may be spent.
        period: in which.
        known: what the table knows of it; None if it is new.
    """

    budget: Budget
    period: Period
    known: Known | None

    @property
    def key(self) -> tuple[str, str]:
        """What makes it one row."""
        return self.budget.name, self.period.name


def read_known(rows: Sequence[Mapping[str, Any]]) -> list[Known]:
    """Return rows of `budget_status` with the budget and the period that they are of."""
    known: list[Known] = []
    for row in rows:
        scope = {name: row[column] for name, column in SCOPE_COLUMNS.items()}
        share = row["warning_usd"] / row["limit_usd"]
        budget = Budget(
            name=row["budget"], limit_usd=row["limit_usd"].normalize(), period=row["period"],
            zone=row["zone"], warning_share=round(share, 4).normalize(), **scope,
        )  # fmt: skip
        known.append(Known(budget, find_period(budget, row["period_start_at"]), row))
    return known


def plan(
    budgets: Sequence[Budget],
    known: Sequence[Known],
    changes: Sequence[Touched],
    *,
    now: datetime,
) -> list[Asked]:
    """Return what is to be computed, in the order of budgets and periods.

    Args:
        budgets: as they are set now.
        known: what the table knows.
        changes: rows of `day_changes` that some row of the table does not count yet.
        now: the present (UTC).
    """
    over = {one.key: one for one in known if one.period.is_over(now)}
    asked: dict[tuple[str, str], Asked] = {}
    for one in (asked for budget in budgets for asked in _list_new(budget, known, now)):
        asked[one.key] = one
    for key, one in over.items():
        if not one.row["is_final"] or not one.row["is_over"] or one.list_touches(changes):
            asked[key] = Asked(one.budget, one.period, one)
        else:
            asked.pop(key, None)
    return sorted(asked.values(), key=lambda one: (one.budget.name, one.period.start_at))


def find_dropped(
    known: Sequence[Known], asked: Sequence[Asked], *, now: datetime
) -> list[tuple[str, str]]:
    """Return the rows of periods that go on, of budgets that are not set any more."""
    kept = {one.key for one in asked}
    return [one.key for one in known if not one.period.is_over(now) and one.key not in kept]


def is_due(
    budgets: Sequence[Budget], known: Sequence[Known], *, newest_change: int, now: datetime
) -> str | None:
    """Return why the table should be computed again, or None.

    It is when something was published, a budget was set otherwise, a period ended, or a full hour
    has passed: what is to come is told by the hour.
    """
    going_on = [one.budget for one in known if not one.period.is_over(now)]
    if sorted(going_on, key=_name) != sorted(budgets, key=_name):
        return "budgets are not as they were set, or a period has ended"
    counted = [one for one in known if not one.row["is_over"]]
    if any(one.row["changes_through"] < newest_change for one in counted):
        return "something was published"
    if any(one.row["computed_at"].replace(minute=0, second=0, microsecond=0) < _hour(now)
           for one in counted):  # fmt: skip
        return "a full hour has passed"
    return None


def _name(budget: Budget) -> str:
    return budget.name


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _list_new(budget: Budget, known: Sequence[Known], now: datetime) -> Iterator[Asked]:
    """Yield a budget's periods from its newest known one on; only the present if it is new."""
    of_it = {one.key: one for one in known
             if one.budget.name == budget.name and one.budget.period == budget.period}  # fmt: skip
    since = max((one.period.start_at for one in of_it.values()), default=now)
    for period in list_periods(budget, since=min(since, now), now=now, limit=MOST_PERIODS):
        yield Asked(budget, period, of_it.get((budget.name, period.name)))
