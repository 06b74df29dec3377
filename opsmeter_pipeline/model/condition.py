"""What an evaluator found to be wrong now: the plain value that becomes an incident.

A stage that judges something worth an alert returns conditions; the `alerts` stage turns them into
incidents and messages. Nothing here knows where a value was measured or who is told.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

WARNING = "warning"
CRITICAL = "critical"
SEVERITIES = (WARNING, CRITICAL)
"""From the mildest to the worst."""


class Key(NamedTuple):
    """What makes two conditions one incident.

    Attributes:
        scope: what is wrong, such as `pipeline` or `job:ingest`.
        rule: which evaluator says so, such as `pipeline_stale`.
        rule_window: over which time it is judged, such as `now` or `1h/5m`.
    """

    scope: str
    rule: str
    rule_window: str


@dataclass(frozen=True)
class Condition:
    """Something that is wrong now.

    Attributes:
        key: what makes it one incident with an earlier condition.
        severity: one of `SEVERITIES`.
        since_at: the first moment it held (UTC), which may be long before it was found.
        value: what was measured, in `unit`.
        limit: what it may be at most, in `unit`.
        unit: such as `seconds`, `runs` or `bytes`.
        what: one sentence that names what is wrong.
        next_step: the next step of the runbook, as a command where there is one.
        run_id: the Dagster run to look at; None if no run is to blame.
    """

    key: Key
    severity: str
    since_at: datetime
    value: float
    limit: float
    unit: str
    what: str
    next_step: str
    run_id: str | None = None


def rank_severity(severity: str | None) -> int:
    """Return how bad a severity is; nothing at all is 0.

    >>> rank_severity(None), rank_severity("warning"), rank_severity("critical")
    (0, 1, 2)
    """
    return 0 if severity is None else SEVERITIES.index(severity) + 1
