"""The views stage's assets: what a person reads, kept as SQL in the warehouse."""

import dagster as dg

from opsmeter_pipeline.orchestration.metadata import table_spec
from opsmeter_pipeline.orchestration.partitions import INGEST_DAYS
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.views import PROBES_DAILY, VIEWS

_BOUND = [view for view in VIEWS if view != PROBES_DAILY]
"""Views that a batch can change; that of probes has an asset of its own."""


@dg.multi_asset(
    specs=[table_spec(view, group="views", kind="view", deps=view.reads) for view in _BOUND],
    partitions_def=INGEST_DAYS,
)
def reading_views(home: HomeResource):  # noqa: ANN201
    """Bind each view once, so that one that cannot be read fails here and not on a page.

    Their rows are not counted: that would read the cubes of all history in every run.
    """
    for name in home.lake.describe([view.name for view in _BOUND]):
        yield dg.MaterializeResult(name)
