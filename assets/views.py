"""The views stage's assets: what a person reads, kept as SQL in the warehouse."""

import dagster as dg

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
    """Bind each view once, so that one that cannot be read fails here and not on a page.

    Their rows are not counted: that would read the cubes of all history in every run.
    """
    for name, described in home.lake.describe([view.name for view in VIEWS]).items():
        columns = [dg.TableColumn(*column) for column in described.items()]
        schema = {"dagster/column_schema": dg.TableSchema(columns)}
        yield dg.MaterializeResult(name, metadata=schema)
