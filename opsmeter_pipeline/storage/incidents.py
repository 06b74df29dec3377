"""Incidents and timelines in the warehouse: what a look changes is decided and written at once.

The decision is made inside the transaction that writes it, from what is open then. If anybody else
committed meanwhile, it is made again: two daemons never open the same incident twice, and a message
is written down with the change that it tells of (ADR 0023). Sending is `storage.alerts`' matter.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from datetime import datetime

import duckdb
import polars as pl

from opsmeter_pipeline.alerts import Decision, Entry, Incident, Look, Rules, acknowledge, decide
from opsmeter_pipeline.alerts.incident import Message
from opsmeter_pipeline.alerts.messages import Addresses, write_body, write_subject
from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.errors import IncidentMissingError
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.tables import ALERTS, INCIDENTS
from opsmeter_pipeline.storage.affected import count_affected
from opsmeter_pipeline.storage.lake import Lake, fetch

_COLUMNS = ", ".join(one.name for one in fields(Incident))
_CURRENT = (
    f"SELECT {_COLUMNS} FROM incidents WHERE state <> 'resolved' ORDER BY opened_at, incident_id"
)
_NEWEST = f"SELECT {_COLUMNS} FROM incidents ORDER BY opened_at DESC, incident_id LIMIT ?"
_ONE = f"SELECT {_COLUMNS} FROM incidents WHERE incident_id = ?"
_ADD_ENTRY = """
    INSERT INTO incident_events (incident_id, number, kind, happened_at, detail)
    SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4
    FROM incident_events WHERE incident_id = $1
"""
_TIMELINE = """
    SELECT incident_id, kind, happened_at, detail FROM incident_events
    WHERE incident_id = ? ORDER BY number
"""


_TOLD = "SELECT DISTINCT sink FROM alerts WHERE incident_id = ? ORDER BY sink"
"""Who was told of an incident is told of its end, also if who finds it has other sinks, or none."""


def read_current(lake: Lake) -> list[Incident]:
    """Return the incidents that are not resolved, the oldest first."""
    return _to_incidents(lake.read(_CURRENT))


def read_newest(lake: Lake, *, limit: int) -> list[Incident]:
    """Return the incidents that were opened last, the newest first."""
    return _to_incidents(lake.read(_NEWEST, [limit]))


def read_incident(lake: Lake, incident_id: str) -> Incident:
    """Return one incident.

    Raises:
        IncidentMissingError: there is none of that id.
    """
    return _only(_to_incidents(lake.read(_ONE, [incident_id])), incident_id)


def read_timeline(lake: Lake, incident_id: str) -> list[Entry]:
    """Return the lines of an incident's timeline, in the order in which they were written."""
    return [Entry(**row) for row in lake.read(_TIMELINE, [incident_id]).iter_rows(named=True)]


def record_look(
    lake: Lake,
    look: Look,
    *,
    rules: Rules,
    sinks: Sequence[str],
    addresses: Addresses,
    now: datetime,
    slo: Slo | None = None,
) -> Decision:
    """Write down what a look changes, with the messages that are due; return it.

    A look that changes nothing writes nothing, so that no publish has to start again for it. With
    the objective, an incident that is over is written down with the events that it made late.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    if decide(look, read_current(lake), rules=rules, now=now) == Decision():
        return Decision()
    return _change(
        lake,
        lambda current: decide(look, current, rules=rules, now=now),
        sinks=sinks,
        addresses=addresses,
        slo=slo,
    )


def record_acknowledgement(lake: Lake, incident_id: str, *, by: str, now: datetime) -> Decision:
    """Write down that a person took an incident; nothing if somebody has, or if it is over.

    Raises:
        IncidentMissingError: there is none of that id.
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    read_incident(lake, incident_id)

    def take(current: list[Incident]) -> Decision:
        found = [one for one in current if one.incident_id == incident_id]
        return acknowledge(found[0], by=by, now=now) if found else Decision()

    return _change(lake, take)


def record_action(lake: Lake, detail: str, *, now: datetime) -> list[str]:
    """Write what a person did into the timeline of each incident that is not over; return them.

    Raises:
        WarehouseBusyError: the catalogue stayed locked; nothing was written.
    """
    noted: list[str] = []

    def write(con: duckdb.DuckDBPyConnection) -> None:
        noted[:] = [one.incident_id for one in _to_incidents(fetch(con, _CURRENT))]
        for incident_id in noted:
            add_entry(con, Entry(incident_id, "action", now, detail))

    lake.transact(write)
    return noted


def add_entry(con: duckdb.DuckDBPyConnection, entry: Entry) -> None:
    """Add a line to an incident's timeline within a transaction."""
    con.execute(_ADD_ENTRY, [entry.incident_id, entry.kind, entry.happened_at, entry.detail])


def _change(
    lake: Lake,
    make: Callable[[list[Incident]], Decision],
    *,
    sinks: Sequence[str] = (),
    addresses: Addresses | None = None,
    slo: Slo | None = None,
) -> Decision:
    made: list[Decision] = []

    def write(con: duckdb.DuckDBPyConnection) -> None:
        decision = make(_to_incidents(fetch(con, _CURRENT)))
        made.append(decision)
        changed = [one.incident_id for one in decision.incidents]
        con.execute("DELETE FROM incidents WHERE incident_id IN (SELECT unnest(?))", [changed])
        for incident in decision.incidents:
            counted = count_affected(con, incident, slo) if slo else incident
            _insert(con, INCIDENTS, asdict(counted))
        for entry in decision.entries:
            add_entry(con, entry)
        if addresses:
            for message in decision.messages:
                told = fetch(con, _TOLD, [message.incident.incident_id])["sink"]
                for sink in dict.fromkeys((*sinks, *told)):
                    _insert(con, ALERTS, _to_alert(message, sink, addresses))

    lake.transact(write)
    return made[-1]


def _to_alert(message: Message, sink: str, addresses: Addresses) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "sink": sink,
        "incident_id": message.incident.incident_id,
        "kind": message.kind,
        "severity": message.incident.severity,
        "subject": write_subject(message),
        "body": write_body(message, addresses),
        "decided_at": message.decided_at,
        "state": "waiting",
        "attempts": 0,
        "unknown_attempts": 0,
        "due_at": message.decided_at,
    }


def _insert(con: duckdb.DuckDBPyConnection, table: Table, row: dict[str, object]) -> None:
    marks = ", ".join("?" for _ in row)
    con.execute(f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({marks})", [*row.values()])


def _to_incidents(frame: pl.DataFrame) -> list[Incident]:
    return [Incident(**row) for row in frame.iter_rows(named=True)]


def _only(found: list[Incident], incident_id: str) -> Incident:
    if not found:
        raise IncidentMissingError(incident_id)
    return found[0]
