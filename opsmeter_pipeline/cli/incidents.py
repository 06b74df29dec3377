"""`opsmeter incident`: what is and was wrong, as it wrote itself down."""

import getpass
import sys
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape

from opsmeter_pipeline.alerts import Incident
from opsmeter_pipeline.alerts.messages import Addresses
from opsmeter_pipeline.alerts.report import write_report
from opsmeter_pipeline.cli.app import err, out, print_json, print_table
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.alerts import read_alerts, read_undelivered
from opsmeter_pipeline.storage.incidents import (
    read_incident,
    read_newest,
    read_timeline,
    record_acknowledgement,
)
from opsmeter_pipeline.storage.lake import Lake

_SHOWN = ("incident_id", "state", "severity", "scope", "rule", "since_at", "recovered_at", "what")


def list_command(*, limit: int, home: Path | None, as_json: bool) -> None:
    """Print the newest incidents and what waits to be sent.

    Raises:
        WarehouseMissingError: there is no warehouse yet.
    """
    lake = Lake(load_settings(home=home).warehouse)
    incidents, waiting = read_newest(lake, limit=limit), read_undelivered(lake)
    if as_json:
        print_json(
            {"incidents": [asdict(one) for one in incidents], "undelivered": waiting.to_dicts()}
        )
        return
    print_table([_shorten(one) for one in incidents], title="incidents (UTC)")
    if not waiting.is_empty():
        shown = ("message_id", "sink", "kind", "state", "attempts", "error")
        print_table(waiting.select(shown).to_dicts(), title="messages that nobody has got yet")


def show_command(incident_id: str, *, home: Path | None, as_json: bool) -> None:
    """Print one incident with its timeline and messages.

    Raises:
        IncidentMissingError: there is none of that id.
    """
    settings = load_settings(home=home)
    lake, addresses = Lake(settings.warehouse), Addresses(settings.ui_url, settings.page_url)
    incident, entries = read_incident(lake, incident_id), read_timeline(lake, incident_id)
    if not as_json:
        sys.stdout.write(write_report(incident, entries, addresses=addresses, now=utc_now()))
        return
    timeline = [
        {"number": number, "kind": one.kind, "happened_at": one.happened_at, "detail": one.detail}
        for number, one in enumerate(entries, start=1)
    ]
    links, told = addresses.links(incident), read_alerts(lake, incident_id).to_dicts()
    print_json({**asdict(incident), "links": links, "timeline": timeline, "alerts": told})


def ack_command(incident_id: str, *, by: str | None, home: Path | None, as_json: bool) -> None:
    """Take an incident, and say who has it.

    Raises:
        IncidentMissingError: there is none of that id.
    """
    lake = Lake(load_settings(home=home).warehouse)
    made = record_acknowledgement(lake, incident_id, by=by or getpass.getuser(), now=utc_now())
    incident = read_incident(lake, incident_id)
    if as_json:
        print_json({**asdict(incident), "changed": bool(made.incidents)})
        return
    if not made.incidents:
        err.print(f"[yellow]nothing changed:[/yellow] {escape(_why_unchanged(incident))}")
        return
    out.print(escape(f"{incident_id} is {incident.state}, taken by {incident.acknowledged_by}."))


def _why_unchanged(incident: Incident) -> str:
    if incident.acknowledged_by:
        return f"{incident.acknowledged_by} took it at {incident.acknowledged_at:%Y-%m-%d %H:%M}Z."
    return f"it was resolved at {incident.resolved_at:%Y-%m-%d %H:%M}Z."


def _shorten(incident: Incident) -> dict[str, object]:
    told = asdict(incident)
    return {
        name.removesuffix("_at"): f"{told[name]:%m-%d %H:%M:%S}"
        if name.endswith("_at") and told[name]
        else told[name]
        for name in _SHOWN
    }
