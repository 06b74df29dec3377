"""What a week's digest is made of, as plain values: read by `storage.digest`, told by `digest`.

Add here what a reader needs to act or to trust a number; each number that can be wrong brings what
it lacks with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from opsmeter_pipeline.model.clock import start_of_day
from opsmeter_pipeline.model.errors import WeekError

LENGTH = timedelta(days=7)


@dataclass(frozen=True)
class Week:
    """Seven full UTC days; they have 168 hours, whatever clocks on walls do.

    Attributes:
        first_day: the first of them.
    """

    first_day: date

    @property
    def start_at(self) -> datetime:
        """The first instant."""
        return start_of_day(self.first_day)

    @property
    def end_at(self) -> datetime:
        """The first instant after it."""
        return self.start_at + LENGTH

    @property
    def last_day(self) -> date:
        """The last of the days."""
        return self.first_day + timedelta(days=6)


def plan_week(*, now: datetime, first_day: str | None = None) -> Week:
    """Return the week that a person named by its first day; else the last 7 full days.

    Raises:
        WeekError: that is no day, or the week is not over.
    """
    if first_day is None:
        return Week(now.astimezone(UTC).date() - LENGTH)
    try:
        week = Week(date.fromisoformat(first_day))
        is_over = week.end_at <= now and week.first_day >= date.min + LENGTH
    except (ValueError, OverflowError) as exc:
        raise WeekError(first_day, why="it is no day such as 2026-11-16") from exc
    if not is_over:
        last = now.astimezone(UTC).date() - LENGTH
        raise WeekError(first_day, why=f"its 7 days are not over; the last such week begins {last}")
    return week


@dataclass(frozen=True)
class Sums:
    """What a window holds of production.

    Attributes:
        cost_usd: cost of the priced events.
        requests: logical requests.
        attempts: events.
        failures: of these, those that failed.
        unpriced_attempts: of these, those without a price.
        unpriced_low_usd: the least that those may cost.
        unpriced_high_usd: the most; None where nobody can tell.
        unknown_cost_usd: part of the cost of which no tenant is told.
        unknown_requests: likewise of the requests.
    """

    cost_usd: Decimal = Decimal()
    requests: int = 0
    attempts: int = 0
    failures: int = 0
    unpriced_attempts: int = 0
    unpriced_low_usd: Decimal = Decimal()
    unpriced_high_usd: Decimal | None = Decimal()
    unknown_cost_usd: Decimal = Decimal()
    unknown_requests: int = 0


@dataclass(frozen=True)
class Part:
    """One value of a dimension in both windows."""

    value: str
    previous_cost_usd: Decimal
    cost_usd: Decimal
    previous_requests: int
    requests: int

    @property
    def change_usd(self) -> Decimal:
        """What it cost more, or less."""
        return self.cost_usd - self.previous_cost_usd


@dataclass(frozen=True)
class Driver:
    """Something that drove the change, as `why` names it: in words, with the control."""

    change_usd: Decimal
    what: str
    control: str
    verify_sql: str


@dataclass(frozen=True)
class Deploy:
    """A prompt version that was first seen in the week, at an endpoint that was there before.

    Attributes:
        endpoint_tag: the endpoint.
        prompt_version: the new version.
        first_at: start of the first hour with it (UTC).
        requests: requests it served in the week.
        cost_usd: what is known of their cost.
        unpriced_attempts: of its attempts, those without a price.
        previous_version: the version with most requests there before; None if there is none.
        previous_requests: requests that one served in the week before and in this.
        previous_cost_usd: their cost.
        verdict: what `prompt_version_drift` says of it; None if it was not judged.
        cost_change: the same's change of cost per request, at the same tenants; None likewise.
        monthly_usd: what that comes to in 30 days.
    """

    endpoint_tag: str
    prompt_version: str
    first_at: datetime
    requests: int
    cost_usd: Decimal
    unpriced_attempts: int
    previous_version: str | None
    previous_requests: int
    previous_cost_usd: Decimal
    verdict: str | None = None
    cost_change: float | None = None
    monthly_usd: Decimal | None = None


@dataclass(frozen=True)
class Budget:
    """How one budget stands; the columns of `budget_status` of these names."""

    budget: str
    period_name: str
    state: str
    limit_usd: Decimal
    spent_low_usd: Decimal
    spent_high_usd: Decimal | None
    forecast_usd: Decimal | None
    is_over: bool


@dataclass(frozen=True)
class Burst:
    """A spike of the week that is told itself, in words, with its control."""

    what: str
    extra_usd: Decimal
    control: str | None
    verify_sql: str | None


@dataclass(frozen=True)
class PriceChange:
    """What a reprice changed, or a version of prices that was taken, waits or was accepted."""

    what: str
    change_usd: Decimal | None = None


@dataclass(frozen=True)
class Trust:
    """What the week's numbers rest on.

    Attributes:
        provisional_days: days of the week that may still change.
        complete_through: the watermark; None before the first look.
        fresh_events: events that became visible in time, of those measured in the week.
        stale_events: those that did not.
        limit_seconds: what in time means; None if nothing was measured.
        lines: lines taken since the week began.
        quarantined: of these, lines in quarantine.
        held_back_usd: what those may have cost, as far as that can be estimated; in no total.
        unestimated_lines: those of which nobody can tell.
        late_changes: changes made in the week and since to days reported before it.
        late_change_usd: what they came to.
        incidents: incidents opened in the week.
        open_incidents: those that are not resolved now.
    """

    provisional_days: int = 0
    complete_through: datetime | None = None
    fresh_events: int = 0
    stale_events: int = 0
    limit_seconds: int | None = None
    lines: int = 0
    quarantined: int = 0
    held_back_usd: Decimal = Decimal()
    unestimated_lines: int = 0
    late_changes: int = 0
    late_change_usd: Decimal = Decimal()
    incidents: int = 0
    open_incidents: int = 0


@dataclass(frozen=True)
class Facts:
    """All of one week, against the one before.

    Attributes:
        week: which.
        read_at: when the warehouse was read (UTC).
        before: what the week before held.
        now: what the week holds.
        endpoints: the endpoints whose cost changed most.
        tenants: likewise the tenants.
        drivers: what drove the change, the first driver first.
        deploys: prompt versions that are new.
        budgets: how budgets stand; None if none is set.
        bursts: spikes of the week, those that cost most more than usual first.
        prices: what changed of prices.
        trust: what the numbers rest on.
    """

    week: Week
    read_at: datetime
    before: Sums
    now: Sums
    endpoints: Sequence[Part] = ()
    tenants: Sequence[Part] = ()
    drivers: Sequence[Driver] = ()
    deploys: Sequence[Deploy] = ()
    budgets: Sequence[Budget] | None = None
    bursts: Sequence[Burst] = ()
    prices: Sequence[PriceChange] = ()
    trust: Trust = Trust()
