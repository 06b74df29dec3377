"""What a reprice changed: the log of restated money."""

from opsmeter_pipeline.model.columns import Table, change, count, instant, money, text
from opsmeter_pipeline.model.tables.dimensions import DAY, SERVED, TIER

RESTATEMENTS = Table(
    "restatements",
    "What one reprice changed in a batch's events of a UTC day and a model; a log.",
    (
        count("number", "The reprice, in the order of commits, from 1."),
        text("batch_id", "The batch whose events were priced again."),
        DAY,
        *TIER,
        *SERVED,
        count("attempts", "Events whose cost changed, or why they have none, or its bounds."),
        count("newly_priced_attempts", "Of these, events that had no price and have one now."),
        count("newly_unpriced_attempts", "Of these, events that had a price and have none now."),
        money("former_cost_usd", "What they cost before, where they had a price."),
        money("cost_usd", "What they cost since, where they have a price."),
        change("change_cost_usd", "Cost more or less."),
        text("package_version", "Version of `genai-prices` that priced; null is none.",
             nullable=True),
        text("own_version", "Version of `prices.toml` that priced; null is none.", nullable=True),
        text("reason", "Why they were priced again, as asked."),
        text("asked_by", "Who asked."),
        text("run_id", "Dagster run that did it."),
        count("former_snapshot_id", "Snapshot that has the former values; read it with `AT`."),
        instant("visible_at", "When the commit had returned; null until measured.", nullable=True),
    ),
)  # fmt: skip
