"""What a person would get of a scratch home: incidents, verdicts, messages, the ledger.

Everything a drill reports as seen, told or kept is read here, from the home's own tables, from
Dagster's records and from what arrived at the webhook; never from what the drill knows it did.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl

from opsmeter_pipeline.alerts import Incident
from opsmeter_pipeline.alerts.incident import RESOLVED
from opsmeter_pipeline.drills.report import Counts, Sighting, Timeline, Told
from opsmeter_pipeline.drills.traffic import PREFIX, Traffic
from opsmeter_pipeline.model.tables import TRACKING_HOURLY
from opsmeter_pipeline.storage.incidents import read_newest, read_timeline
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.webhook import Webhook

_LOOKED_AT = 50
_LEDGER = """
    SELECT file, sum(lines)::BIGINT AS lines, sum(accepted)::BIGINT AS accepted,
        sum(duplicates)::BIGINT AS duplicates, sum(quarantined)::BIGINT AS quarantined,
        sum(blank)::BIGINT AS blank
    FROM ingest_files WHERE batch_id IN
        (SELECT batch_id FROM ingest_batches WHERE visible_at IS NOT NULL)
    GROUP BY file
"""
_EVENTS = "SELECT external_request_id AS id, count(*) AS events FROM events GROUP BY 1"
_LAG = """
    SELECT max(epoch(b.visible_at) - epoch(f.landed_at)) FROM ingest_files f
    JOIN ingest_batches b USING (batch_id)
    WHERE b.visible_at > ? AND f.landed_at > ? AND f.file LIKE ?
"""


def read_incidents(lake: Lake, *, since: datetime, rules: Iterable[str]) -> list[Incident]:
    """Return the incidents of these rules that were opened since, the oldest first."""
    newest = read_newest(lake, limit=_LOOKED_AT)
    return [one for one in newest if one.rule in rules and one.opened_at >= since][::-1]


def see_alerts(incidents: Iterable[Incident]) -> list[Sighting]:
    """Return incidents as sightings."""
    return [Sighting("alert", one.rule, one.what, one.opened_at) for one in incidents]


def see_checks(
    instance: dg.DagsterInstance, names: Iterable[str], *, since: datetime
) -> list[Sighting]:
    """Return the newest verdict of each of these checks that is bad and was given since."""
    found: list[Sighting] = []
    for name in names:
        key = dg.AssetCheckKey(dg.AssetKey(TRACKING_HOURLY.name), name)
        record = instance.get_latest_asset_check_evaluation_record(key)
        event = record.event.dagster_event if record and record.event else None
        if not record or not event:
            continue
        if event.event_type != dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        said, at = event.asset_check_evaluation_data, _instant(record.create_timestamp)
        if not said.passed and at >= since:
            found.append(Sighting("check", name, said.description or "", at))
    return found


def see_silence(
    webhook: Webhook, *, since: datetime, limit: timedelta, now: datetime
) -> list[Sighting]:
    """Return that the heartbeat stayed away, as a dead-man service would have said it since."""
    last = max(webhook.beats, default=None)
    if last is None or now - last <= limit or last + limit < since:
        return []
    says = f"No heartbeat since {last:%H:%M:%S}Z, which is over {limit.total_seconds():g} s."
    return [Sighting("heartbeat", "silent", says, last + limit)]


def read_told(webhook: Webhook, incidents: Iterable[Incident]) -> list[Told]:
    """Return what arrived of each of these incidents."""
    told: list[Told] = []
    for incident in incidents:
        mine = [
            one for one in webhook.arrived if one.message.get("incident_id") == incident.incident_id
        ]
        kinds = [one.message["kind"] for one in mine]
        times = [one.at for one in mine]
        told.append(
            Told(incident.incident_id, incident.rule, kinds.count("opened"),
                 kinds.count("resolved"), min(times, default=None), max(times, default=None))
        )  # fmt: skip
    return told


def find_end(incidents: Sequence[Incident]) -> datetime | None:
    """Return when the last of these incidents was over; None while one is not."""
    ends = [one.resolved_at for one in incidents if one.state == RESOLVED and one.resolved_at]
    return max(ends) if ends and len(ends) == len(incidents) else None


def read_timelines(lake: Lake, incidents: Iterable[Incident]) -> list[Timeline]:
    """Return the incidents with all that their timelines say."""
    return [
        Timeline(
            one.incident_id,
            one.rule,
            one.state,
            [
                {"kind": entry.kind, "happened_at": entry.happened_at, "detail": entry.detail}
                for entry in read_timeline(lake, one.incident_id)
            ],
        )
        for one in incidents
    ]


def has_taken_all(lake: Lake, traffic: Traffic) -> bool:
    """Return whether each file that was landed is in the ledger and visible."""
    return {*traffic.written} <= {*lake.read(_LEDGER)["file"]}


def count_lines(lake: Lake, traffic: Traffic) -> Counts:
    """Return what became of every line that was written; others may land beside, as probes do."""
    ledger = lake.read(_LEDGER).filter(pl.col("file").str.contains(traffic.pattern))
    sums = ("accepted", "duplicates", "quarantined", "blank")
    placed = {row["file"]: sum(row[name] for name in sums) for row in ledger.to_dicts()}
    gaps = [number - placed.get(file, 0) for file, number in traffic.written.items()]
    foreign = sum(number for file, number in placed.items() if file not in traffic.written)
    events = lake.read(_EVENTS).filter(pl.col("id").str.starts_with(PREFIX))
    known = events.filter(pl.col("id").is_in([*traffic.requests]))
    return Counts(
        files=len(traffic.written),
        written=sum(traffic.written.values()),
        **{name: int(ledger[name].sum()) for name in sums},
        missing=sum(gap for gap in gaps if gap > 0),
        surplus=foreign - sum(gap for gap in gaps if gap < 0),
        requests=len(traffic.requests),
        absent=len(traffic.requests) - known.height,
        repeated=events.filter(pl.col("events") > 1).height,
    )


def read_worst_lag(lake: Lake, *, since: datetime, producer: str = "") -> float | None:
    """Return the longest way of a file that landed since, from landed to visible, in seconds."""
    return lake.read(_LAG, [since, since, f"{producer}%"]).item()


def count_batches(lake: Lake, *, since: datetime) -> int:
    """Return how many batches have become visible since."""
    sql = "SELECT count(*) FROM ingest_batches WHERE visible_at > ?"
    return lake.read(sql, [since]).item()


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
