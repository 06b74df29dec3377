"""The quality checks: published tables are held to their promises, in a job of their own.

One step judges all of them on one snapshot, so that a batch published meanwhile is either in all
or in none. Generated from `opsmeter_pipeline.quality`; Great Expectations is imported when the
step runs, never before.
"""

from collections.abc import Iterator, Mapping

import dagster as dg

from opsmeter_pipeline.model.errors import QualityMissingError
from opsmeter_pipeline.model.tables import TABLES
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import to_result
from opsmeter_pipeline.orchestration.jobs import QUALITY_POOL
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.quality import build_suite, describe_checks, judge_outcomes, name_check
from opsmeter_pipeline.storage.quality import Held, judge_suites

_CHECKS = describe_checks()


@dg.multi_asset_check(
    name="quality_checks",
    specs=[
        dg.AssetCheckSpec(name_check(kind), asset=table, description=text, blocking=False)
        for (table, kind), text in _CHECKS.items()
    ],
    can_subset=True,
    pool=QUALITY_POOL,
)
def quality_checks(
    context: dg.AssetCheckExecutionContext, home: HomeResource
) -> Iterator[dg.AssetCheckResult]:
    """Judge the tables whose checks are asked for, and write Data Docs of these."""
    asked = {
        (key.asset_key.to_user_string(), key.name) for key in context.selected_asset_check_keys
    }
    tables = {table for table, _ in asked}
    suites = {table.name: build_suite(table) for table in TABLES if table.name in tables}
    try:
        held = judge_suites(home.lake, suites, site=home.settings.data_docs)
    except QualityMissingError as exc:
        held = str(exc)
    for table, kind in _CHECKS:
        if (table, name_check(kind)) in asked:
            yield _report(held, table, kind)


def _report(held: Held | str, table: str, kind: str) -> dg.AssetCheckResult:
    """Return the result of one check; a text says why nothing could be judged."""
    if isinstance(held, str):
        missing = Verdict(passed=False, summary=held)
        return to_result(missing, blocking=False, name=name_check(kind), asset=table)
    outcomes = [one for one in held.outcomes[table] if one.promise.kind == kind]
    result = to_result(
        judge_outcomes(table, outcomes),
        blocking=False,
        name=name_check(kind),
        asset=table,
        severity=dg.AssetCheckSeverity.ERROR,  # people read what is wrong already
    )
    shown: Mapping[str, dg.MetadataValue] = {
        "data_docs": dg.MetadataValue.path(held.pages[table]),
        "snapshot_id": dg.MetadataValue.int(held.snapshot_id),
    }
    return result._replace(metadata={**result.metadata, **shown})
