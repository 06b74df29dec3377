"""What a look changes: the one place that opens, escalates, re-opens and resolves incidents.

A person is told at most once that an incident is open, once for each rise of its severity, and once
that it is over (ADR 0023). Add a transition here; what is wrong is judged elsewhere, and how a
message gets through is `storage.alerts`' matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from opsmeter_pipeline.alerts.incident import (
    ACKNOWLEDGED,
    OPEN,
    RECOVERING,
    RESOLVED,
    Entry,
    Incident,
    Look,
    Message,
    name_incident,
)
from opsmeter_pipeline.alerts.maintenance import MaintenanceWindow, find_window
from opsmeter_pipeline.model.condition import Condition, rank_severity


@dataclass(frozen=True)
class Rules:
    """How incidents are told.

    Attributes:
        cooldown: how long a condition must be gone before its incident is over. What comes back
            within it is the same incident.
        maintenance: windows in which nothing is sent.
        has_sinks: somebody can be told. If not, incidents wait to be announced.
    """

    cooldown: timedelta = timedelta(seconds=300)
    maintenance: tuple[MaintenanceWindow, ...] = ()
    has_sinks: bool = True


@dataclass(frozen=True)
class Decision:
    """What a look changes; empty if it changes nothing.

    Attributes:
        incidents: those that are new or changed, as they are now.
        entries: lines added to timelines, in order.
        messages: what to tell.
    """

    incidents: tuple[Incident, ...] = ()
    entries: tuple[Entry, ...] = ()
    messages: tuple[Message, ...] = ()


def decide(look: Look, current: Sequence[Incident], *, rules: Rules, now: datetime) -> Decision:
    """Return what a look changes in the incidents that are not resolved.

    Deterministic: two processes with the same look decide the same, down to the ids. A look that is
    older than an incident, written down after it, does not say that it is over.

    Args:
        look: what is wrong now, and what could not be judged.
        current: all incidents that are not resolved.
        rules: cooldown, maintenance, and whether anybody can be told.
        now: when the look was taken (UTC).
    """
    found = {one.key: one for one in look.conditions}
    known = {one.key: one for one in current}
    changes = [_open(found[key], now) for key in found if key not in known]
    for key, incident in known.items():
        if key in found:
            changes.append(_hold(incident, found[key], now))
        elif incident.rule not in look.unjudged and now >= incident.opened_at:
            changes.append(_let_go(incident, rules, now))
    return _combine((_announce(one, rules, now) for one in changes), known.values())


@dataclass(frozen=True)
class _Change:
    incident: Incident
    entries: tuple[Entry, ...] = ()
    messages: tuple[Message, ...] = ()

    def note(self, kind: str, at: datetime, detail: str) -> "_Change":
        entry = Entry(self.incident.incident_id, kind, at, detail)
        return replace(self, entries=(*self.entries, entry))

    def tell(self, kind: str, now: datetime) -> "_Change":
        message = Message(self.incident, kind, now)
        told = replace(self, messages=(*self.messages, message))
        return told.note("alert_decided", now, f"message {message.message_id}: {kind}")


def _open(condition: Condition, now: datetime) -> _Change:
    incident = Incident(
        incident_id=name_incident(condition, now), **condition.key._asdict(), state=OPEN,
        severity=condition.severity, announced_severity=None,
        since_at=min(condition.since_at, now), opened_at=now, escalated_at=None,
        acknowledged_at=None, acknowledged_by=None, recovered_at=None, resolved_at=None,
        reopened=0, **_measured(condition),
    )  # fmt: skip
    bad = _Change(incident).note("first_bad", incident.since_at, condition.what)
    return bad.note("detected", now, f"{condition.severity}: {describe_value(incident)}")


def _hold(incident: Incident, condition: Condition, now: datetime) -> _Change:
    """Return what becomes of an incident whose condition holds."""
    change = _Change(incident)
    if incident.is_recovering:
        state = ACKNOWLEDGED if incident.acknowledged_at else OPEN
        again = replace(incident, state=state, recovered_at=None, reopened=incident.reopened + 1,
                        **_measured(condition))  # fmt: skip
        change = _Change(again).note("reopened", now, f"It is back: {condition.what}")
    if rank_severity(condition.severity) > rank_severity(incident.severity):
        worse = replace(change.incident, severity=condition.severity, escalated_at=now,
                        **_measured(condition))  # fmt: skip
        text = f"{incident.severity} to {condition.severity}: {describe_value(worse)}"
        change = replace(change, incident=worse).note("escalated", now, text)
    return change


def _let_go(incident: Incident, rules: Rules, now: datetime) -> _Change:
    """Return what becomes of an incident whose condition is gone."""
    change = _Change(incident)
    recovered_at = incident.recovered_at or now
    if incident.recovered_at is None:
        gone = replace(incident, state=RECOVERING, recovered_at=now)
        change = _Change(gone).note("recovered", now, "Its condition was not found any more.")
    was_told = incident.announced_severity is not None
    is_held_back = was_told and find_window(rules.maintenance, now)
    if is_held_back or now - recovered_at < rules.cooldown:
        return change  # what was announced is called back when the window is over
    over = replace(change.incident, state=RESOLVED, resolved_at=now)
    lasted = describe_seconds(recovered_at - incident.since_at)
    change = replace(change, incident=over).note("resolved", now, f"It held for {lasted}.")
    return change.tell("resolved", now) if was_told else change


def _announce(change: _Change, rules: Rules, now: datetime) -> _Change:
    """Add the message that an open incident is due, unless nobody is to be told."""
    incident = change.incident
    is_told = rank_severity(incident.announced_severity) >= rank_severity(incident.severity)
    if incident.state not in {OPEN, ACKNOWLEDGED} or is_told:
        return change
    window = find_window(rules.maintenance, now)
    if window or not rules.has_sinks:
        why = f"maintenance until {window.to_at:%Y-%m-%d %H:%M}Z: {window.reason}" if window else (
            "no sink is configured; set OPSMETER_ALERT_URLS")  # fmt: skip
        return change.note("held_back", now, why) if change.entries else change
    kind = "escalated" if incident.announced_severity else "opened"
    told = replace(incident, announced_severity=incident.severity)
    return replace(change, incident=told).tell(kind, now)


def acknowledge(incident: Incident, *, by: str, now: datetime) -> Decision:
    """Return what it changes that a person takes an incident; nothing if somebody has.

    A rise in severity is still told afterwards.
    """
    if incident.acknowledged_at is not None or incident.state == RESOLVED:
        return Decision()
    state = RECOVERING if incident.is_recovering else ACKNOWLEDGED
    taken = replace(incident, state=state, acknowledged_at=now, acknowledged_by=by)
    return Decision((taken,), (Entry(taken.incident_id, "acknowledged", now, f"by {by}"),))


def describe_value(incident: Incident) -> str:
    """Return how bad it is: the value against the limit."""
    return f"{incident.value:,.6g} {incident.unit} (limit {incident.limit_value:,.6g})"


def describe_seconds(length: timedelta) -> str:
    """Return a length of time without microseconds.

    >>> describe_seconds(timedelta(seconds=3725.4))
    '1:02:05'
    """
    return str(timedelta(seconds=round(length.total_seconds())))


def _measured(condition: Condition) -> dict[str, Any]:
    return {
        "value": condition.value,
        "limit_value": condition.limit,
        "unit": condition.unit,
        "what": condition.what,
        "next_step": condition.next_step,
        "run_id": condition.run_id,
    }


def _combine(changes: Iterable[_Change], before: Iterable[Incident]) -> Decision:
    known = set(before)
    made = [one for one in changes if one.incident not in known]
    return Decision(
        tuple(one.incident for one in made),
        tuple(entry for one in made for entry in one.entries),
        tuple(message for one in made for message in one.messages),
    )
