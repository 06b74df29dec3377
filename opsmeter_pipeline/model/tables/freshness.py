"""Freshness: how long after its ingest time each event was visible, and a batch's own times."""

from opsmeter_pipeline.model.columns import BATCH_ID, Table, count, instant, text
from opsmeter_pipeline.model.tables.dimensions import PROMPT, SOURCE, TIER

FRESHNESS_LAGS = Table(
    "freshness_lags",
    "One batch's count for an ingest hour, a kind, a source, an endpoint and a bin of lag.",
    (
        BATCH_ID,
        text(
            "kind",
            "live; history (ingested more than 24 h before it landed, or before the home first "
            "looked); or replayed (visible only since a replay moved it out of quarantine).",
        ),
        instant("ingested_hour_at", "Start of the UTC hour of the ingest time, `ingested_at`."),
        *TIER,
        SOURCE,
        PROMPT[0],
        count(
            "lag_up_to_seconds",
            "Upper end, included, of the bin of the lag from ingest to visible; null if the ingest "
            "time is after that: a clock is wrong and the lag unknown.",
            nullable=True,
        ),
        count("limit_seconds", "The objective's limit when it was counted."),
        instant("visible_at", "When they were visible: measured after a commit had returned."),
        count("events", "Events in the bin."),
        instant("oldest_ingested_at", "The earliest of their ingest times, exactly."),
    ),
)
BATCH_TIMES = Table(
    "batch_times",
    "When one batch came to its first publish; a log, which a replay adds nothing to.",
    (
        BATCH_ID,
        instant("validated_at", "When all blocking checks had passed and publishing began."),
        instant(
            "begun_at",
            "When the publishing transaction began, as the snapshot log tells to a millisecond or "
            "so: before anybody could see the batch.",
        ),
    ),
)
