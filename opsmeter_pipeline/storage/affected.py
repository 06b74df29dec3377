"""What an incident of freshness came to: events that were late while it held, and their budget.

Counted once it is over, from the lags of what had become visible by then: live production events,
each by the limit that was in force for it.
"""

from dataclasses import replace
from datetime import timedelta

import duckdb

from opsmeter_pipeline.alerts.incident import RESOLVED, Incident
from opsmeter_pipeline.alerts.landing import BACKLOG, STALE
from opsmeter_pipeline.alerts.orchestrator import NOT_TICKING, RUN_FAILED, TICK_FAILED
from opsmeter_pipeline.freshness.burn import SLO_BURN
from opsmeter_pipeline.freshness.slo import allow_late
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.sql import PRODUCTION
from opsmeter_pipeline.probe import PROBE_LOST
from opsmeter_pipeline.storage.lake import fetch

_OF_FRESHNESS = {STALE, BACKLOG, SLO_BURN, RUN_FAILED, NOT_TICKING, TICK_FAILED, PROBE_LOST}
"""Rules whose incidents make events late; others have no count."""
_COUNTED = f"""
    SELECT coalesce(sum(events) FILTER (
            visible_at >= $1 AND lag_up_to_seconds > limit_seconds), 0)::BIGINT AS late,
        coalesce(sum(events) FILTER (visible_at > $3), 0)::BIGINT AS events
    FROM freshness_lags WHERE kind = 'live' AND {PRODUCTION} AND visible_at <= $2
"""


def count_affected(con: duckdb.DuckDBPyConnection, incident: Incident, slo: Slo) -> Incident:
    """Return an incident with how many events it made late, and what part of the budget they are.

    The budget is that of all production, over its window up to the recovery; null where it allows
    no event to be late. An incident that is not over, or not about freshness, stays as it is.
    """
    ended_at = incident.recovered_at
    if incident.state != RESOLVED or ended_at is None or incident.rule not in _OF_FRESHNESS:
        return incident
    objective = slo.scopes[-1].objective
    since = ended_at - timedelta(days=objective.window_days)
    late, events = fetch(con, _COUNTED, [incident.since_at, ended_at, since]).row(0)
    allowed = allow_late(events, objective.target_share)
    return replace(incident, events_affected=late, budget_spent=late / allowed if allowed else None)
