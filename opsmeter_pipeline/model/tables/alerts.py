"""Incidents, their timelines, and what was told of them to whom."""

import polars as pl

from opsmeter_pipeline.model.columns import Column, Table, count, instant, ratio, text

_INCIDENT_ID = text("incident_id", "The incident.")

INCIDENTS = Table(
    "incidents",
    "One incident: something that was wrong from one moment to another, as it is known now.",
    (
        text("incident_id", "Names it for good."),
        text("scope", "What is or was wrong, such as `pipeline` or `job:ingest`."),
        text("rule", "Which evaluator says so; with scope and window the incident's key."),
        text("rule_window", "Over which time it is judged, such as `now` or `1h/5m`."),
        text("state", "open, acknowledged, recovering (gone, but it may come back) or resolved."),
        text("severity", "warning or critical: the worst it has been."),
        text(
            "announced_severity",
            "The worst that a message was decided for; null if nobody was told.",
            nullable=True,
        ),
        instant("since_at", "First moment its condition held."),
        instant("opened_at", "When it was detected."),
        instant("escalated_at", "When its severity rose; null if it never did.", nullable=True),
        instant("acknowledged_at", "When a person took it; null if nobody has.", nullable=True),
        text("acknowledged_by", "Who took it; null if nobody has.", nullable=True),
        instant(
            "recovered_at", "When its condition was first seen gone; null while it holds.",
            nullable=True,
        ),
        instant("resolved_at", "When it was over; null before.", nullable=True),
        count("reopened", "How often its condition came back before it was resolved."),
        Column("value", pl.Float64, "What was measured when it last opened or rose, in `unit`."),
        Column("limit_value", pl.Float64, "What it may be at most, in `unit`."),
        text("unit", "Unit of both, such as seconds, runs or bytes."),
        text("what", "What is wrong, in a sentence."),
        text("next_step", "The next step of the runbook."),
        text("run_id", "Dagster run to look at; null if no run is to blame.", nullable=True),
        count(
            "events_affected",
            "Live production events that were late while it held; null until it is over, "
            "or if it is not about freshness.",
            nullable=True,
        ),
        ratio("budget_spent", "Their part of production's error budget; likewise."),
    ),
)  # fmt: skip
INCIDENT_EVENTS = Table(
    "incident_events",
    "One line of an incident's timeline; a log that writes itself.",
    (
        _INCIDENT_ID,
        count("number", "Its place in the incident's timeline, from 1."),
        text(
            "kind",
            "first_bad, detected, held_back, alert_decided, alert_sent, alert_failed, "
            "alert_unknown, alert_given_up, acknowledged, action (what a person did), escalated, "
            "reopened, recovered or resolved.",
        ),
        instant("happened_at", "When."),
        text("detail", "For a person."),
    ),
)
ALERTS = Table(
    "alerts",
    "One message to one sink; written with the incident's change, before it is sent.",
    (
        text("message_id", "The same in each copy, so that a receiver can drop a second one."),
        text("sink", "Kind of the sink and a hash of its address, which is a secret."),
        text("incident_id", "The incident; of a digest, its week."),
        text("kind", "opened, escalated, resolved or digest."),
        text("severity", "Of the incident when it was decided; info of a digest."),
        text("subject", "Its subject."),
        text("body", "Its text."),
        instant("decided_at", "When it was decided to send it."),
        text("state", "waiting, claimed (somebody is sending it), sent or given_up."),
        count("attempts", "How often it was tried."),
        count(
            "unknown_attempts",
            "Of these, tries whose process ended before it wrote down what became of them.",
        ),
        instant("due_at", "When it is tried next, while it waits."),
        text("claimed_by", "Process that tried it last; null if none has.", nullable=True),
        instant(
            "claimed_until", "From when on another process may try it; null if none has tried.",
            nullable=True,
        ),
        instant("sent_at", "When a sink had accepted it; null if none has.", nullable=True),
        text("error", "Why the last try failed, without the address; null if none has.",
             nullable=True),
    ),
)  # fmt: skip
