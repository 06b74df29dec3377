"""Probes: made-up events that were sent through the landing and looked for on the page."""

from opsmeter_pipeline.model.columns import Table, instant, text

PROBES = Table(
    "probes",
    "One probe: a made-up test event, when it was sent, and when the page first showed it.",
    (
        text("probe_id", "Its `external_request_id` and its prompt version; of no other event."),
        instant(
            "scheduled_at", "The schedule's tick it was sent for; null if somebody asked for it.",
            nullable=True,
        ),
        text("file", "Its file, relative to the landing."),
        text("state", "sent (looked for), visible, or lost (not shown until `due_at`)."),
        instant("sent_at", "When it was about to land, by our clock."),
        instant("due_at", "When it counts as lost if the page has not shown it."),
        instant("ingested_at", "Ingest time of its event; null until known.", nullable=True),
        instant("taken_at", "When a run listed the landing and took it; null until known.",
                nullable=True),
        instant("published_at", "When its batch was visible; null until known.", nullable=True),
        instant(
            "visible_at", "When the page's API first answered with it; null if it never has. It "
            "can be a moment before `published_at`, which is measured after the commit.",
            nullable=True,
        ),
        instant("lost_at", "When it was given up; stays if the page showed it later.",
                nullable=True),
        text(
            "stuck_at", "Where it was when it was given up: sending (its file is not in the "
            "landing), landing (no batch has taken the file), refused (the file), quarantine, "
            "identity (counted as a duplicate) or page (published, not shown).", nullable=True,
        ),
        text("detail", "Why, for a person; null if it was not given up.", nullable=True),
    ),
)  # fmt: skip
