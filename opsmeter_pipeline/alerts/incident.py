"""What an incident, a line of its timeline and a message are, as plain values."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from opsmeter_pipeline.model.condition import Condition, Key

OPEN = "open"
ACKNOWLEDGED = "acknowledged"
RECOVERING = "recovering"
RESOLVED = "resolved"
STATES = (OPEN, ACKNOWLEDGED, RECOVERING, RESOLVED)
_ID_DIGITS = 12


@dataclass(frozen=True)
class Look:
    """What one look at everything found.

    Attributes:
        conditions: what is wrong; at most one for a key.
        unjudged: rules that could not be judged. Their incidents stay as they are: not to know
            is no recovery.
    """

    conditions: tuple[Condition, ...] = ()
    unjudged: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Incident:
    """One incident; the columns of `incidents` in their order. Instants are UTC.

    Attributes:
        incident_id: names it for good.
        scope: with `rule` and `rule_window`, the key of its condition.
        rule: which evaluator found it.
        rule_window: over which time it is judged.
        state: one of `STATES`.
        severity: the worst it has been.
        announced_severity: the worst that a message was decided for; None if nobody was told.
        since_at: the first moment its condition held.
        opened_at: when it was detected.
        escalated_at: when its severity rose; None if it never did.
        acknowledged_at: when a person took it; None if nobody has.
        acknowledged_by: who did.
        recovered_at: when its condition was first seen gone; None while it holds.
        resolved_at: when it was over; None before.
        reopened: how often its condition came back before it was resolved.
        value: what was measured when it last opened or rose.
        limit_value: what it may be at most.
        unit: of both.
        what: what is wrong.
        next_step: the runbook's next step.
        run_id: the Dagster run to look at.
        events_affected: production events that were late while it held; None until it is over.
        budget_spent: their part of the error budget; likewise.
    """

    incident_id: str
    scope: str
    rule: str
    rule_window: str
    state: str
    severity: str
    announced_severity: str | None
    since_at: datetime
    opened_at: datetime
    escalated_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    recovered_at: datetime | None
    resolved_at: datetime | None
    reopened: int
    value: float
    limit_value: float
    unit: str
    what: str
    next_step: str
    run_id: str | None
    events_affected: int | None = None
    budget_spent: float | None = None

    @property
    def key(self) -> Key:
        """What makes a condition this incident's."""
        return Key(self.scope, self.rule, self.rule_window)

    @property
    def is_recovering(self) -> bool:
        """Whether its condition is gone and it is not over yet."""
        return self.state == RECOVERING


@dataclass(frozen=True)
class Entry:
    """One line of an incident's timeline.

    Attributes:
        incident_id: the incident.
        kind: first_bad, detected, held_back, alert_decided, alert_sent, alert_failed,
            alert_unknown, alert_given_up, acknowledged, action, escalated, reopened, recovered
            or resolved.
        happened_at: when (UTC).
        detail: for a person.
    """

    incident_id: str
    kind: str
    happened_at: datetime
    detail: str


@dataclass(frozen=True)
class Message:
    """One thing to tell, to every sink.

    Attributes:
        message_id: the same for each copy, whoever sends it and how often.
        incident: as it is told.
        kind: opened, escalated or resolved.
        decided_at: when it was decided (UTC).
    """

    message_id: str = field(init=False)
    incident: Incident
    kind: str
    decided_at: datetime

    def __post_init__(self) -> None:
        """Derive the id: one message per incident, kind and severity, whatever happens between."""
        told = self.incident.severity if self.kind == "escalated" else ""
        object.__setattr__(self, "message_id", _digest(self.incident.incident_id, self.kind, told))


def name_incident(condition: Condition, opened_at: datetime) -> str:
    """Return the id of the incident that a condition opens at a moment."""
    return f"inc_{_digest(*condition.key, opened_at.isoformat())}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_ID_DIGITS]
