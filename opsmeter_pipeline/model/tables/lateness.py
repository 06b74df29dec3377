"""How far all that landed was visible at a look, and what a publish changed in a day."""

from dataclasses import replace

from opsmeter_pipeline.model.columns import (
    Table,
    count,
    instant,
    money,
    text,
)
from opsmeter_pipeline.model.tables.dimensions import (
    DAY,
)
from opsmeter_pipeline.model.watermark import Watermark

_CHANGES = tuple(
    replace(one, is_signed=True)
    for one in (
        count("change_requests", "Logical requests more, or fewer if negative."),
        count("change_attempts", "Events more or fewer."),
        count("change_input_tokens", "Input tokens more or fewer."),
        count("change_output_tokens", "Output tokens more or fewer."),
        count("change_unpriced_attempts", "Events without a price more or fewer."),
        money("change_cost_usd", "Cost more or less."),
        count("change_left_out_attempts", "Events outside production more or fewer."),
        money("change_left_out_cost_usd", "Their cost more or less."),
    )
)
DAY_CHANGES = Table(
    "day_changes",
    "What one publish changed in a batch's part of a UTC day's totals; a log from the first on.",
    (
        count("number", "The publish, in the order of commits, from 1."),
        text("batch_id", "The batch whose rows changed."),
        DAY,
        text(
            "kind",
            "live (lines taken anew), backfill or replay (a batch run again), or reprice (its "
            "events priced again).",
        ),
        text("run_id", "Dagster run that published it."),
        *_CHANGES,
        instant(
            "final_at",
            "When the day had become final before this change; null if it was provisional.",
            nullable=True,
        ),
        instant("visible_at", "When the commit had returned; null until measured.", nullable=True),
    ),
)
"""All but the left-out ones are of production, as in `overview`."""
WATERMARKS = Table(
    "watermarks",
    "What one look at the landing knew; a log, the look with the highest number counts.",
    (
        count("number", "The look, in the order of commits, from 1."),
        text("batch_id", "The batch published with it; null if it took nothing.", nullable=True),
        instant("looked_at", "When the landing was listed."),
        instant("complete_through", "No file listed that landed before this instant waits."),
        count("waiting_files", "Files of which something waits, an unfinished last line included."),
        count("refused_files", "Files listed that cannot be taken as they are; they do not wait."),
        count("lateness_allowance_seconds", "How long after an hour its events may still land."),
    ),
)

LOOKED = {name: WATERMARKS.schema[name] for name in Watermark.__annotations__}
"""The Polars schema of a look: one row per `model.watermark.Watermark`."""
