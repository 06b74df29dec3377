"""What the published tables promise: a suite per table, and the verdict on each kind of promise.

Promises that a column's description makes are built from the column catalogue
(`quality.columns`); those that tie rows together are written as SQL (`quality.relations`). Add a
promise there. Plain values only: `storage.quality` hands them to Great Expectations. Comes after
`publish`, in a job of its own.
"""

from collections.abc import Iterable, Mapping, Sequence

from opsmeter_pipeline.model.columns import Table
from opsmeter_pipeline.model.tables import TABLES
from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict
from opsmeter_pipeline.quality.columns import promise_columns
from opsmeter_pipeline.quality.promises import KINDS, Outcome, Promise
from opsmeter_pipeline.quality.relations import RELATIONS

__all__ = ["KINDS", "Outcome", "Promise", "build_suite", "describe_checks", "judge_outcomes"]

_REMEDY = (
    "Replay the ingest day of the batches that are named (a backfill of `ingest`); "
    "if it stays, report this as a bug."
)


def build_suite(table: Table) -> tuple[Promise, ...]:
    """Return all promises of a table, those of its columns first."""
    return (*promise_columns(table), *RELATIONS.get(table.name, ()))


def name_check(kind: str) -> str:
    """Return the name of the check that holds a table to its promises of a kind.

    >>> name_check("grain")
    'quality_grain'
    """
    return f"quality_{kind}"


def describe_checks() -> dict[tuple[str, str], str]:
    """Return what each check promises, by table and kind; only kinds the table has."""
    return {
        (table.name, kind): f"{KINDS[kind]} Judged hourly in all that is published, by the job "
        f"`quality`; holds {len(promises)} expectations."
        for table in TABLES
        for kind, promises in _by_kind(build_suite(table)).items()
    }


def judge_outcomes(table: str, outcomes: Sequence[Outcome]) -> Verdict:
    """Return the verdict on a table's promises of one kind.

    Args:
        table: its name.
        outcomes: one for each of the promises.
    """
    broken = [one for one in outcomes if not one.kept]
    named = "; ".join(_describe(one) for one in broken[:SAMPLE_ROWS])
    more = f"; and {len(broken) - SAMPLE_ROWS} more" if len(broken) > SAMPLE_ROWS else ""
    culprits = [
        {"promise": one.promise.meaning, **culprit} for one in broken for culprit in one.culprits
    ]
    return Verdict(
        passed=not broken,
        summary=f"All {len(outcomes)} promises of {table} are kept."
        if not broken
        else f"{len(broken)} of {len(outcomes)} promises of {table} are broken: {named}{more}. "
        f"{_REMEDY}",
        figures={
            "promises": len(outcomes),
            "broken_promises": len(broken),
            "broken_places": sum(one.broken_places for one in broken),
        },
        culprits=culprits[:SAMPLE_ROWS],
    )


def _describe(outcome: Outcome) -> str:
    why = outcome.error or f"broken at {outcome.broken_places} places"
    return f"{outcome.promise.meaning.rstrip('.')} ({why})"


def _by_kind(promises: Iterable[Promise]) -> Mapping[str, list[Promise]]:
    grouped: dict[str, list[Promise]] = {kind: [] for kind in KINDS}
    for promise in promises:
        grouped[promise.kind].append(promise)
    return {kind: found for kind, found in grouped.items() if found}
