"""Whether the promise of freshness is kept: state, error budget, burn rates.

Pure arithmetic over counts; where they come from is `storage.slo`'s. Every rule here is said with
its formula in docs/freshness.md and its reason in ADR 0021.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from enum import Enum
from typing import NamedTuple

from opsmeter_pipeline.model.objective import Objective, Scope


class SloState(Enum):
    """Whether an objective is met; what cannot be known is never met."""

    MET = "met"
    BREACHED = "breached"
    NO_DATA = "no_data"


class Tally(NamedTuple):
    """Events of a window by how their lag was.

    Attributes:
        good: visible within the limit.
        late: visible after it, or waiting for longer.
        clock: of unknown lag, because a clock is wrong; neither good nor late.
    """

    good: int = 0
    late: int = 0
    clock: int = 0

    @property
    def events(self) -> int:
        """All of them."""
        return self.good + self.late + self.clock


class BurnRule(NamedTuple):
    """When the budget is spent too fast, judged over two windows that must agree.

    Attributes:
        long: the window that says it matters.
        short: the window that says it still goes on.
        factor: how many times faster than the budget allows.
        severity: how much it matters.
    """

    long: timedelta
    short: timedelta
    factor: Decimal
    severity: str


BURN_RULES = (
    BurnRule(timedelta(hours=1), timedelta(minutes=5), Decimal(6), "critical"),
    BurnRule(timedelta(hours=6), timedelta(minutes=30), Decimal(3), "high"),
    BurnRule(timedelta(days=3), timedelta(hours=6), Decimal(1), "warning"),
)
WINDOWS = tuple(sorted({one for rule in BURN_RULES for one in (rule.long, rule.short)}))
"""The windows a burn needs a tally of."""


@dataclass(frozen=True)
class Burn:
    """How fast the budget is spent by one rule.

    Attributes:
        long_seconds: length of the long window.
        short_seconds: length of the short window.
        factor: from which rate on it burns; at most half the highest rate there can be.
        severity: of the rule.
        long_rate: share late by share allowed; None below the minimum of events.
        short_rate: the same of the short window; None without an event.
        is_burning: both are at or above the factor.
    """

    long_seconds: int
    short_seconds: int
    factor: Decimal
    severity: str
    long_rate: Decimal | None
    short_rate: Decimal | None
    is_burning: bool


@dataclass(frozen=True)
class JudgedSlo:
    """How one objective stands.

    Attributes:
        scope: which events it is about.
        state: whether it is met.
        reason: why, for a person.
        tally: events of its window, waiting ones that are late included.
        waiting_lines: lines that wait, about.
        waiting_late_lines: of these, late already; they are in `tally.late`.
        allowed_late: how many of `tally.events` may be late.
        burns: by rule, the most severe first.
    """

    scope: Scope
    state: SloState
    reason: str
    tally: Tally
    waiting_lines: int
    waiting_late_lines: int
    allowed_late: int
    burns: tuple[Burn, ...]

    @property
    def left_late(self) -> int:
        """How many more of the events could have been late; negative if it is overspent."""
        return self.allowed_late - self.tally.late

    @property
    def good_share(self) -> Decimal | None:
        """Good events by good and late ones; None without any."""
        measured = self.tally.good + self.tally.late
        return Decimal(self.tally.good) / measured if measured else None


def judge_slo(
    scope: Scope,
    tallies: Mapping[timedelta, Tally],
    *,
    now: datetime,
    silence: timedelta,
    last_event_at: datetime | None,
    last_probe_at: datetime | None,
    waiting: tuple[int, int] = (0, 0),
) -> JudgedSlo:
    """Return how an objective stands.

    Args:
        scope: the objective and what it is about.
        tallies: visible events by window, of `WINDOWS` and the objective's own.
        now: the present (UTC).
        silence: how long nothing may be seen until freshness is unknown.
        last_event_at: when a live event of any scope was visible last (UTC); None if never.
        last_probe_at: when a probe was read back last (UTC); None if never.
        waiting: how many lines wait, and how many of them are late now.
    """
    objective = scope.objective
    late_now = {window: _add_late(one, waiting[1]) for window, one in tallies.items()}
    tally = late_now[timedelta(days=objective.window_days)]
    seen = max((one for one in (last_event_at, last_probe_at) if one), default=None)
    is_silent = seen is None or now - seen > silence
    state, reason = _judge_state(tally, objective, seen=seen, is_silent=is_silent)
    burns = tuple(_burn(rule, late_now, objective) for rule in BURN_RULES)
    allowed = allow_late(tally.events, objective.target_share)
    return JudgedSlo(scope, state, reason, tally, *waiting, allowed, burns)


def allow_late(events: int, target_share: Decimal) -> int:
    """Return how many of some events may be late: the error budget.

    >>> [allow_late(events, Decimal("0.95")) for events in (19, 20, 100)]
    [0, 1, 5]
    """
    return int((events * (1 - target_share)).to_integral_value(ROUND_FLOOR))


def find_percentile(lags: Mapping[int, float], share: Decimal) -> int | None:
    """Return the bin of the lag that this share of events does not exceed; None without events.

    Nearest rank. The exact percentile is in that bin, so this is above it by at most 1 s or 1/60.

    >>> find_percentile({3: 94, 10: 1, 700: 5}, Decimal("0.95"))
    10
    """
    wanted = Decimal(str(sum(lags.values()))) * share
    below = Decimal(0)
    for lag in sorted(lags):
        below += Decimal(str(lags[lag]))
        if below >= wanted and below:
            return lag
    return None


def find_worst(slos: Iterable[JudgedSlo]) -> SloState:
    """Return the state of all together: breached if one is, met only if all are."""
    states = {one.state for one in slos}
    order = (SloState.BREACHED, SloState.NO_DATA, SloState.MET)
    return next((one for one in order if one in states), SloState.NO_DATA)


def _judge_state(
    tally: Tally, objective: Objective, *, seen: datetime | None, is_silent: bool
) -> tuple[SloState, str]:
    allowed = allow_late(tally.events, objective.target_share)
    told = f"{tally.late} of {tally.events} events late, {allowed} allowed"
    if tally.events >= objective.minimum_events and tally.late > allowed:
        return SloState.BREACHED, told
    if is_silent:
        since = f"since {seen:%Y-%m-%d %H:%M:%S} UTC" if seen else "ever"
        return SloState.BREACHED, f"unknown: no event and no probe was seen {since}"
    if tally.events < objective.minimum_events:
        return SloState.NO_DATA, f"{tally.events} events, {objective.minimum_events} are needed"
    if tally.late + tally.clock > allowed:
        return SloState.NO_DATA, f"{told}; the lag of {tally.clock} is unknown, a clock is wrong"
    return SloState.MET, told


def _burn(rule: BurnRule, tallies: Mapping[timedelta, Tally], objective: Objective) -> Burn:
    budget = 1 - objective.target_share
    factor = min(rule.factor, 1 / budget / 2)
    long, short = (
        _rate(tallies[window], budget, at_least=least)
        for window, least in ((rule.long, objective.minimum_events), (rule.short, 1))
    )
    return Burn(
        long_seconds=int(rule.long.total_seconds()),
        short_seconds=int(rule.short.total_seconds()),
        factor=factor,
        severity=rule.severity,
        long_rate=long,
        short_rate=short,
        is_burning=long is not None and short is not None and min(long, short) >= factor,
    )


def _rate(tally: Tally, budget: Decimal, *, at_least: int) -> Decimal | None:
    """Return the share late by the share allowed; events of unknown lag are in neither."""
    measured = tally.good + tally.late
    return tally.late / budget / measured if measured >= max(at_least, 1) else None


def _add_late(tally: Tally, late: int) -> Tally:
    return tally._replace(late=tally.late + late)
