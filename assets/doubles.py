"""The doubles stage's asset: calls that two layers reported under two ids."""

from typing import Any

import dagster as dg

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import DOUBLE_INSTRUMENTATION
from opsmeter_pipeline.orchestration.jobs import QUALITY_POOL
from opsmeter_pipeline.orchestration.metadata import preview, rows_metadata, table_spec
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.doubles import look_for_doubles

_READS = ("events", "ingest_files", "attribution_hourly", "model_resolutions")


@dg.multi_asset(
    specs=[table_spec(DOUBLE_INSTRUMENTATION, group="doubles", deps=_READS)],
    pool=QUALITY_POOL,
)
def looked_doubles(home: HomeResource) -> dg.MaterializeResult[Any]:
    """Look at the newest two days of events, and write down whose calls chance does not explain."""
    found = look_for_doubles(home.lake, now=utc_now())
    metadata = rows_metadata(found.height, {"found": preview(found)})
    return dg.MaterializeResult(DOUBLE_INSTRUMENTATION.name, metadata=metadata)
