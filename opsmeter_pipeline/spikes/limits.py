"""From where on an hour or a day is a spike, and a share a concentration.

The field's numbers are taken over where it names one (top endpoint above 50 % of spend); the
others were chosen so that quiet traffic stays quiet, and measured: see docs/spikes.md.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal


@dataclass(frozen=True)
class SpikeRules:
    """What is compared with what, and from where on it is told.

    Attributes:
        false_alarms: how many spikes chance may show per look, over all series and measures of
            one hour or day together.
        min_events: attempts more than usual below which nothing is a spike.
        min_usd: dollars more than usual below which nothing is, unless requests began to fail or
            nobody can tell what they cost.
        min_ratio: how many times the usual it must be.
        weeks: weeks of history that are looked at.
        share_weeks: the same of the shares of tenants and users.
        min_weeks: from how many weeks on a weekday's hour is compared with itself; with fewer,
            with the same hour of all days.
        min_days: days of history below which a series is not judged by the hour.
        min_days_of_days: likewise by the day.
        late_after: how long after the end of its hour a row's batch may have been taken; what came
            later is told apart.
        failing_points: by how much the share of failures must have risen for a burst to be a
            failing one.
        share: part of all requests or dollars of a day from which on one tenant or user
            concentrates it.
        unknown_share: the same of requests that name no user or tenant.
        share_points: by how much the share must be above the most it had in an ordinary day.
        top_share: part of the cost of one endpoint that is worth a note (the field: 50 %).
        cover_share: from which part of a spike's growth on another one of the same window, of
            which it is made, is told in its place.
        hold_hours: a spike by the hour is over after so many ordinary hours.
        severe_ratio: times the usual, with ten times `min_usd` more, from which on it is critical.
    """

    false_alarms: float = 0.01
    min_events: int = 50
    min_usd: Decimal = Decimal(1)
    min_ratio: float = 1.5
    weeks: int = 8
    share_weeks: int = 4
    min_weeks: int = 4
    min_days: int = 7
    min_days_of_days: int = 14
    late_after: timedelta = timedelta(hours=48)
    failing_points: float = 0.10
    share: float = 0.50
    unknown_share: float = 0.10
    share_points: float = 0.10
    top_share: Decimal = Decimal("0.50")
    cover_share: float = 0.50
    hold_hours: int = 3
    severe_ratio: float = 5.0


SPIKE_RULES = SpikeRules()
