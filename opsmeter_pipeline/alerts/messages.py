"""What a message says: what, since when, how bad, what to do next, and where to look."""

from dataclasses import dataclass
from datetime import datetime

from opsmeter_pipeline.alerts.decide import describe_seconds, describe_value
from opsmeter_pipeline.alerts.incident import Incident, Message

_SUBJECTS = {
    "opened": "{severity}: {scope} {rule}",
    "escalated": "now {severity}: {scope} {rule}",
    "resolved": "resolved: {scope} {rule}",
}


@dataclass(frozen=True)
class Addresses:
    """Where a reader of a message can look.

    Attributes:
        dagster_url: the Dagster UI.
        page_url: the page; None if it is not served.
    """

    dagster_url: str
    page_url: str | None = None

    def links(self, incident: Incident) -> dict[str, str]:
        """Return the links of an incident by what they lead to."""
        links = {"page": self.page_url} if self.page_url else {}
        if incident.run_id:
            return {"run": f"{self.dagster_url.rstrip('/')}/runs/{incident.run_id}", **links}
        return {"runs": f"{self.dagster_url.rstrip('/')}/runs", **links}


def write_subject(message: Message) -> str:
    """Return the one line that a phone shows."""
    told = message.incident
    subject = _SUBJECTS[message.kind].format(
        severity=told.severity, scope=told.scope, rule=told.rule
    )
    return f"[opsmeter] {subject}"


def write_body(message: Message, addresses: Addresses) -> str:
    """Return the text; the same incident and message always give the same."""
    told = message.incident
    since = f"{_show(told.since_at)}, detected {_show(told.opened_at)}"
    if told.recovered_at:
        length = describe_seconds(told.recovered_at - told.since_at)
        since += f", recovered {_show(told.recovered_at)} after {length}"
    lines = [
        told.what,
        f"since: {since}",
        f"how bad: {told.severity}, {describe_value(told)}",
        *([] if message.kind == "resolved" else [f"next step: {told.next_step}"]),
        *(f"{name}: {url}" for name, url in addresses.links(told).items()),
        f"timeline: opsmeter incident show {told.incident_id}",
        f"message: {message.message_id}",
    ]
    return "\n".join(lines)


def _show(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
