"""What two reporters told of the same calls."""

import polars as pl

from opsmeter_pipeline.model.columns import (
    Column,
    Table,
    count,
    instant,
    money,
    ratio,
    text,
)
from opsmeter_pipeline.model.tables.dimensions import (
    TIER,
)

DOUBLE_INSTRUMENTATION = Table(
    "double_instrumentation",
    "Two reporters that told the same calls under different ids on one UTC day; all are counted.",
    (
        Column("day", pl.Date, "UTC day on which the first of each pair occurred."),
        *TIER,
        text("first_source", "Producer of the one event of each pair, see `tracking`."),
        text("first_endpoint_tag", "Endpoint it was reported under."),
        text("second_source", "Producer of the other event of each pair."),
        text("second_endpoint_tag", "Endpoint that one was reported under."),
        text("models", "Models as the first reporter names them."),
        count("pairs", "Pairs of one event each: same model and tokens, within a second."),
        count("signatures", "Different models and token counts among them."),
        count("chance_pairs", "Pairs that coincidence brings: the most at a shifted clock."),
        count("first_events", "Events of the first reporter that day, with a time and tokens."),
        count("second_events", "Events of the second reporter, likewise."),
        ratio("first_share", "`pairs` by `first_events`, 0 to 1."),
        ratio("second_share", "`pairs` by `second_events`, 0 to 1."),
        money("cost_usd", "Cost in doubt: of each pair the cheaper event's. It is in all totals."),
        count("unpriced_pairs", "Pairs of which neither has a price."),
        instant("first_at", "When the first pair occurred."),
        instant("last_at", "When the last pair occurred."),
        text("sample_ids", "Ids of some pairs, those with most tokens first."),
        instant("looked_at", "When this was found; a later look at the day replaces the row."),
    ),
)
