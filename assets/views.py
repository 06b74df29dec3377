"""The views stage's assets: what a person reads, kept as SQL in the warehouse."""

import dagster as dg

from opsmeter_pipeline.orchestration.metadata import rows_metadata
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.views import VIEWS


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            view.name,
            deps=view.reads,
            description=f"{view.meaning}\n\nA view: it reads published rows and stores none.",
            kinds={"ducklake", "view"},
            metadata={"dagster/table_name": f"lake.main.{view.name}"},
        )
        for view in VIEWS
    ],
    partitions_def=INGEST_DAYS,
    group_name="views",
)
def reading_views(home: HomeResource):  # noqa: ANN201
    """Read each view once, so that one that cannot be read fails here and not on a page."""
    for view in VIEWS:
        schema, rows = home.lake.describe(view.name)
        columns = [dg.TableColumn(name, kind) for name, kind in schema.items()]
        shape = {"dagster/column_schema": dg.TableSchema(columns)}
        yield dg.MaterializeResult(view.name, metadata=rows_metadata(rows) | shape)
