"""The view of probes by day: how long the way to the page took, and how many were lost."""

import polars as pl

from opsmeter_pipeline.model.columns import Column, count, ratio, text
from opsmeter_pipeline.views.view import View

_DAILY = """
    WITH sent AS (
        SELECT *, (sent_at AT TIME ZONE 'UTC')::DATE AS day,
            CASE state WHEN 'visible' THEN (epoch_us(visible_at) - epoch_us(sent_at)) / 1e6
                WHEN 'lost' THEN 'infinity'::DOUBLE END AS seconds
        FROM probes
    ), days AS (
        SELECT unnest(generate_series(min(day), max(day), INTERVAL 1 DAY))::DATE AS day FROM sent
    ), summed AS (
        SELECT day, count(probe_id) AS probes, count(*) FILTER (state = 'visible') AS visible,
            count(*) FILTER (state = 'lost') AS lost,
            count(*) FILTER (state = 'sent') AS outstanding,
            list_sort(list(seconds) FILTER (seconds IS NOT NULL)) AS ranked
        FROM days LEFT JOIN sent USING (day) GROUP BY day
    )
    SELECT day,
        CASE WHEN visible + lost = 0 THEN 'unknown' WHEN lost > 0 THEN 'lost' ELSE 'seen' END
            AS state,
        probes, visible, lost, outstanding,
        {percentiles},
        list_max(list_filter(ranked, lambda one: NOT isinf(one))) AS max_seconds
    FROM summed ORDER BY day DESC
"""
_PERCENTILE = """
        CASE WHEN NOT isinf(ranked[ceil({share} * len(ranked))::BIGINT])
            THEN ranked[ceil({share} * len(ranked))::BIGINT] END AS p{name}_seconds
"""
PROBES_DAILY = View(
    "probes_daily",
    "One row per UTC day from the first probe's to the last one's, newest first: how long the way "
    "to the page took. A day on which none was sent is unknown.",
    (
        Column("day", pl.Date, "UTC day on which they were sent."),
        text(
            "state",
            "unknown (none was sent, or none is judged yet), lost (at least one was) or seen.",
        ),
        count("probes", "Probes that were sent."),
        count("visible", "Of these, shown by the page, however late."),
        count("lost", "Given up, and not shown since."),
        count("outstanding", "Still looked for; in no percentile."),
        *(
            ratio(
                f"p{name}_seconds",
                f"From sent to shown by the page: the nearest rank of {name} %, in seconds. A lost "
                "one took longer than any; null if the rank is one of those, or there is none.",
            )
            for name in (50, 95)
        ),
        ratio("max_seconds", "The longest that was shown, in seconds; null without one."),
    ),
    _DAILY.format(
        percentiles=",".join(
            _PERCENTILE.format(share=f"0.{name}", name=name) for name in (50, 95)
        ).strip()
    ),
    ("probes",),
)
