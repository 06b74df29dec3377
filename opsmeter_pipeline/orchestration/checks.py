"""From a verdict of a stage to a Dagster check result, the same for every check.

A failed blocking check is an error, because nothing is published; any other is a warning, because
the rest was stored, unless its verdict is severe.
"""

from collections.abc import Callable, Iterator, Mapping

import dagster as dg

from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.resources import HomeResource

Judge = Callable[[HomeResource, str], Verdict]
JudgeAll = Callable[[HomeResource, str], Mapping[str, Verdict]]


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


def build_checks(
    *, asset: str, descriptions: Mapping[str, str], judge: JudgeAll, blocking: bool = False
) -> dg.AssetChecksDefinition:
    """Return several checks of one asset that are judged in one step.

    Args:
        asset: the asset they are shown on.
        descriptions: the promise of each check, by the check's name.
        judge: gets the home and the run's id; returns a verdict for each name.
        blocking: a failure keeps everything downstream from running.
    """

    @dg.multi_asset_check(
        name=f"{asset}_checks",
        specs=[
            dg.AssetCheckSpec(name, asset=asset, description=text, blocking=blocking)
            for name, text in descriptions.items()
        ],
        can_subset=True,
    )
    def checks(
        context: dg.AssetCheckExecutionContext, home: HomeResource
    ) -> Iterator[dg.AssetCheckResult]:
        asked = {key.name for key in context.selected_asset_check_keys}
        for name, verdict in judge(home, context.run.run_id).items():
            if name in asked:
                yield to_result(verdict, blocking=blocking, name=name)

    return checks


def to_result(
    verdict: Verdict,
    *,
    blocking: bool,
    name: str | None = None,
    asset: str | None = None,
    severity: dg.AssetCheckSeverity | None = None,
) -> dg.AssetCheckResult:
    """Return the verdict as Dagster shows it.

    Several checks in one step need their name, those of several assets also the asset's. A
    severity that is not told follows from whether the check blocks or the verdict is severe.
    """
    is_error = blocking or verdict.is_severe
    usual = dg.AssetCheckSeverity.ERROR if is_error else dg.AssetCheckSeverity.WARN
    culprits = {"culprits": dg.MetadataValue.json([*map(_plain, verdict.culprits)])}
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=verdict.passed,
        severity=severity or usual,
        description=verdict.summary,
        metadata={**verdict.figures, **(culprits if verdict.culprits else {})},
    )


def _plain(culprit: Mapping[str, object]) -> dict[str, int | str]:
    return {
        name: value if isinstance(value, int | str) else str(value)
        for name, value in culprit.items()
    }
