"""The partitions of the pipeline: UTC ingest days, known before a file is parsed."""

from datetime import UTC, datetime, time

import dagster as dg

from opsmeter_pipeline.landing import FIRST_DAY

INGEST_DAYS = dg.DailyPartitionsDefinition(
    start_date=datetime.combine(FIRST_DAY, time(), UTC),
    timezone="UTC",
    end_offset=1,  # today is a partition while it is still going on
)
