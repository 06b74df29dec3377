"""The dashboard's asset: a table that the page's server writes, not a run."""

import dagster as dg

from opsmeter_pipeline.model.tables import FIRST_SERVED
from opsmeter_pipeline.orchestration.metadata import table_spec

served_batches = dg.AssetsDefinition(
    specs=[table_spec(FIRST_SERVED, group="dashboard", deps=["ingest_batches", "overview"])]
)
