"""From a verdict of a stage to a Dagster check result, the same for every check.

A failed blocking check is an error, because nothing is published; any other is a warning,
because the rest was stored.
"""

from collections.abc import Callable

import dagster as dg

from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.resources import HomeResource

Judge = Callable[[HomeResource, str], Verdict]


def build_check(
    *, asset: str, name: str, description: str, judge: Judge, blocking: bool
) -> dg.AssetChecksDefinition:
    """Return a check that judges what a run wrote.

    Args:
        asset: the asset it is shown on.
        name: its name, unique on the asset.
        description: the promise it holds the asset to.
        judge: gets the home and the run's id; returns the verdict.
        blocking: a failure keeps everything downstream from running.
    """

    @dg.asset_check(
        asset=asset,
        name=name,
        description=description,
        blocking=blocking,
    )
    def check(context: dg.AssetCheckExecutionContext, home: HomeResource) -> dg.AssetCheckResult:
        verdict = judge(home, context.run.run_id)
        return to_result(verdict, blocking=blocking)

    return check


def to_result(verdict: Verdict, *, blocking: bool) -> dg.AssetCheckResult:
    """Return the verdict as Dagster shows it."""
    severity = dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN
    culprits = {"culprits": dg.MetadataValue.json([*map(_plain, verdict.culprits)])}
    return dg.AssetCheckResult(
        passed=verdict.passed,
        severity=severity,
        description=verdict.summary,
        metadata={**verdict.figures, **(culprits if verdict.culprits else {})},
    )


def _plain(culprit: object) -> dict[str, object]:
    return {
        name: value if isinstance(value, int | str) else str(value)
        for name, value in dict(culprit).items()
    }  # type: ignore[call-overload]
