"""An incident as Markdown for the post-mortem: what happened when, as it wrote itself down."""

from collections.abc import Sequence
from datetime import datetime

from opsmeter_pipeline.alerts.decide import describe_seconds, describe_value
from opsmeter_pipeline.alerts.incident import Entry, Incident
from opsmeter_pipeline.alerts.messages import Addresses

_PAGE = """# Incident {incident_id}: {what}

| | |
|---|---|
{facts}

## Timeline (UTC)

{timeline}

## Impact

- events affected: {events}
- error budget spent: {budget}

## To be written

- Why it happened:
- Why it was not caught earlier:
- What keeps it from happening again:
"""


def write_report(
    incident: Incident, entries: Sequence[Entry], *, addresses: Addresses, now: datetime
) -> str:
    """Return the page of an incident; what is not over yet lasts until now."""
    end = incident.recovered_at or now
    facts = {
        "key": f"{incident.scope} / {incident.rule} / {incident.rule_window}",
        "state": incident.state,
        "severity": incident.severity,
        "how bad": describe_value(incident),
        "first bad moment": _show(incident.since_at),
        "detected": f"{_show(incident.opened_at)}, "
        f"{describe_seconds(incident.opened_at - incident.since_at)} later",
        "acknowledged": f"{_show(incident.acknowledged_at)} by {incident.acknowledged_by}"
        if incident.acknowledged_at
        else "by nobody",
        "recovered": _show(incident.recovered_at) if incident.recovered_at else "not yet",
        "lasted": describe_seconds(end - incident.since_at),
        "came back": f"{incident.reopened} times",
        "next step": incident.next_step,
        **addresses.links(incident),
    }
    affected, spent = incident.events_affected, incident.budget_spent
    return _PAGE.format(
        incident_id=incident.incident_id,
        what=_cell(incident.what),
        facts="\n".join(f"| {name} | {_cell(text)} |" for name, text in facts.items()),
        timeline="\n".join(
            f"- {_show(one.happened_at)} **{one.kind}** {_cell(one.detail)}" for one in entries
        ),
        events="not counted" if affected is None else f"{affected:,}",
        budget="not counted" if spent is None else f"{spent:.2%}",
    )


def _show(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
