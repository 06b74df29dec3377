"""When a batch first reached somebody who looks: where freshness ends."""

from opsmeter_pipeline.model.columns import Table, instant, text

FIRST_SERVED = Table(
    "first_served",
    "A batch that was first delivered in an overview, by the page or its API. A batch without a "
    "row has not been, or not all of it: the overview's range covered all hours of its events.",
    (
        text("batch_id", "The batch; a replay leaves its row as it is."),
        instant(
            "served_at",
            "When the server had sent the answer. It can be a moment before `visible_at`, which is "
            "measured after the commit had returned.",
        ),
    ),
)
