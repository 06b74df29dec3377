"""The drift stage's assets: how each prompt version compares, and how versions are told."""

from typing import Any

import dagster as dg
import polars as pl

from opsmeter_pipeline.drift.chart import draw_changes
from opsmeter_pipeline.drift.verdicts import VERDICTS
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import (
    PROMPT_VERSION_DRIFT,
    PROMPT_VERSION_FINDINGS,
    VERDICT_CHANGES,
)
from opsmeter_pipeline.orchestration.jobs import PUBLISH_POOL
from opsmeter_pipeline.orchestration.metadata import Figure, preview, rows_metadata, table_spec
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.drift import Drift, look_for_drift, replace_drift

_READS = ("attribution_hourly", "token_moments_hourly", "latency_hourly", "day_changes")
_SHOWN = ("environment", "endpoint_tag", "prompt_version", "verdict", "driver", "monthly_usd")


@dg.multi_asset(
    name="compared_versions",
    specs=[
        table_spec(table, group="drift", deps=_READS)
        for table in (PROMPT_VERSION_DRIFT, PROMPT_VERSION_FINDINGS, VERDICT_CHANGES)
    ],
    pool=PUBLISH_POOL,
)
def compared_versions(context: dg.AssetExecutionContext, home: HomeResource):  # noqa: ANN201
    """Compare each version with its baseline, and put the rows in the place of the last look's."""
    staging = home.staging(context.run.run_id)
    found = look_for_drift(home.lake, now=utc_now())
    replace_drift(home.lake, found, staging)
    staging.delete()
    changes = home.lake.read("FROM verdict_changes WHERE changed_at = ?", [found.computed_at])
    yield _report(PROMPT_VERSION_DRIFT.name, found.rows, _describe(found))
    yield _report(PROMPT_VERSION_FINDINGS.name, found.findings, {"found": preview(found.findings)})
    yield _report(VERDICT_CHANGES.name, changes, {"changes": preview(changes)})


def _report(
    table: str, rows: pl.DataFrame, figures: dict[str, Figure]
) -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(table, metadata=rows_metadata(rows.height, figures))


def _describe(found: Drift) -> dict[str, Figure]:
    counts = dict(found.rows["verdict"].value_counts().iter_rows())
    chart = draw_changes(found.rows)
    return {
        "as_of": found.as_of.isoformat() if found.as_of else "no traffic",
        **{name: int(counts.get(name, 0)) for name in VERDICTS},
        "changes": dg.MetadataValue.md(f"```text\n{chart}\n```" if chart else "nothing moved"),
        "rows": preview(found.rows.select(_SHOWN)),
    }
