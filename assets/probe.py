"""The probe stage's assets: probes, which ticks write, and what they say by day."""

from typing import Any

import dagster as dg

from opsmeter_pipeline.model.tables import PROBES
from opsmeter_pipeline.orchestration.metadata import preview, rows_metadata, table_spec
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.probe.plot import SHOWN_DAYS, draw_days, tell_days
from opsmeter_pipeline.storage.probes import read_days
from opsmeter_pipeline.views import PROBES_DAILY

probes = table_spec(PROBES, group="probe", deps=["attribution_hourly"])


@dg.multi_asset(
    name="summed_probes",
    specs=[table_spec(PROBES_DAILY, group="probe", kind="view", deps=PROBES_DAILY.reads)],
)
def summed_probes(home: HomeResource) -> dg.MaterializeResult[Any]:
    """Read the days of probes, and draw how long the way to the page took."""
    days = read_days(home.lake, limit=SHOWN_DAYS)
    figures = {
        "plot": dg.MetadataValue.md(draw_days(days)),
        "days": preview(days, rows=SHOWN_DAYS),
        **tell_days(days),
    }
    return dg.MaterializeResult(PROBES_DAILY.name, metadata=rows_metadata(days.height, figures))
