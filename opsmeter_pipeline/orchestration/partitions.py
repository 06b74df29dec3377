"""The partitions of the pipeline: UTC ingest days, known before a file is parsed."""

import dagster as dg

from opsmeter_pipeline.landing import FIRST_DAY
from opsmeter_pipeline.model.clock import start_of_day

INGEST_DAYS = dg.DailyPartitionsDefinition(
    start_date=start_of_day(FIRST_DAY),
    timezone="UTC",
    end_offset=1,  # today is a partition while it is still going on
)
