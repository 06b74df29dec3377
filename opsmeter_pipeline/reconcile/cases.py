"""Both sides beside each other, at the grain of the export, and held to a tolerance.

An export grouped by model is compared by model, one that is not by day; what it says of no model
in an export that names models, such as web searches, is a row of its own without a model.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from opsmeter_pipeline.model.clock import start_of_day
from opsmeter_pipeline.model.statement import (
    DAY,
    Statement,
    StatementRow,
)
from opsmeter_pipeline.reconcile.parts import PARTS, split_delta
from opsmeter_pipeline.reconcile.refusals import allot_refused
from opsmeter_pipeline.reconcile.sums import (
    EXACT,
    Amounts,
    Case,
    Compared,
    Key,
    Known,
    Period,
    Place,
    Reconciliation,
    Uncovered,
    Warehouse,
    add_amounts,
)

_ZERO = Decimal()


def reconcile_statement(
    statement: Statement,
    warehouse: Warehouse,
    *,
    keys: Mapping[tuple[str, str | None], Key],
    period: Period,
    tolerance: Decimal,
    now: datetime,
) -> Reconciliation:
    """Return each day's and model's difference, and what explains it.

    Args:
        statement: what the provider says.
        warehouse: what we have in the period, of the hours that the statement speaks for.
        keys: what the provider and model of each statement row are in the catalogue's spelling.
        period: the UTC days that are compared.
        tolerance: how much a delta may be of the statement's amount: 0.005 is 0.5 %.
        now: the present moment (UTC): what an export is judged by that does not tell its own.
    """
    by_model = {keys[row.provider, row.model].provider for row in statement.rows if row.model}
    told = _fold_statement(statement, keys=keys, by_model=by_model, period=period)
    known = _fold_known(warehouse.known, by_model=by_model)
    judged_at = statement.exported_at or now
    cases = [
        _to_case(place, told.get(place), known.get(place), statement,
                 taken_through=warehouse.taken_through, judged_at=judged_at)
        for place in sorted({*told, *known}, key=lambda place: (*place[:2], place.model or ""))
    ]  # fmt: skip
    cases = allot_refused(cases, warehouse.refused, attempts=warehouse.attempts)
    rows = tuple(_compare(case, name, tolerance) for case in cases for name in statement.measures)
    uncovered = tuple(_days_untold(statement, warehouse.uncovered))
    return Reconciliation(
        period=period,
        rows=rows,
        totals=tuple(_total(rows, name, tolerance) for name in statement.measures),
        cases=tuple(cases),
        refused=warehouse.refused,
        uncovered=uncovered,
        notes=(*statement.notes, *_tell_partial_days(statement, warehouse.uncovered)),
        passed=not uncovered and all(row.is_within is not False for row in rows),
    )


def _fold_statement(
    statement: Statement,
    *,
    keys: Mapping[tuple[str, str | None], Key],
    by_model: set[str],
    period: Period,
) -> dict[Place, tuple[Amounts, frozenset[str]]]:
    """Return what the export tells of each place, and by which names.

    A measure that some rows of a place do not tell is the sum of the others: it is not told only
    if no row tells it.
    """
    folded: dict[Place, tuple[Amounts, frozenset[str]]] = {}
    for row in statement.rows:
        if period.holds(row.day):
            key = keys[row.provider, row.model]
            place = Place(row.day, key.provider, key.model if key.provider in by_model else None)
            amounts, names = folded.get(place, ({}, frozenset()))
            folded[place] = (add_amounts(amounts, row.told()), names | _names(row))
    return folded


def _names(row: StatementRow) -> frozenset[str]:
    return frozenset({row.model} if row.model else ())


def _fold_known(known: Iterable[Known], *, by_model: set[str]) -> dict[Place, Known]:
    folded: dict[Place, Known] = {}
    for one in known:
        model = one.key.model if one.key.provider in by_model else None
        place = Place(one.day, one.key.provider, model)
        folded[place] = folded[place].add(one) if place in folded else one
    return folded


def _to_case(
    place: Place,
    told: tuple[Amounts, frozenset[str]] | None,
    known: Known | None,
    statement: Statement,
    *,
    taken_through: datetime | None,
    judged_at: datetime,
) -> Case:
    """Return a place's both sides; what an export that speaks for the day leaves out is 0."""
    end_at = start_of_day(place.day) + DAY
    silence = (dict.fromkeys(statement.measures, _ZERO), frozenset[str]())
    amounts, names = told or silence
    return Case(
        place=place,
        told=amounts,
        known=known or Known(place.day, Key(place.provider, place.model), {}),
        is_listed=told is not None,
        is_taken=taken_through is not None and taken_through >= end_at,
        is_over=judged_at >= end_at,
        told_names=names,
    )


def _compare(case: Case, measure: str, tolerance: Decimal) -> Compared:
    ours = case.known.amounts.get(measure, _ZERO)
    if measure not in case.told:
        return Compared(case.place, measure, None, ours, None, {}, None)
    parts = split_delta(case, measure)
    return _judge(case.place, measure, case.told[measure], ours, parts, tolerance)


def _total(rows: Sequence[Compared], measure: str, tolerance: Decimal) -> Compared:
    """Return the sums of the rows that could be compared."""
    own = [row for row in rows if row.measure == measure and row.statement is not None]
    sums: dict[str, Decimal] = dict.fromkeys(("statement", "warehouse", *PARTS), _ZERO)
    for row in own:
        both = {"statement": row.statement or _ZERO, "warehouse": row.warehouse}
        sums = add_amounts(sums, {**both, **row.parts})
    told, ours = sums.pop("statement"), sums.pop("warehouse")
    return _judge(None, measure, told, ours, sums, tolerance)


def _judge(
    place: Place | None,
    measure: str,
    told: Decimal,
    ours: Decimal,
    parts: Amounts,
    tolerance: Decimal,
) -> Compared:
    delta = EXACT.subtract(ours, told)
    is_within = delta.copy_abs() <= EXACT.multiply(told.copy_abs(), tolerance)
    return Compared(place, measure, told, ours, delta, parts, is_within)


def _days_untold(statement: Statement, uncovered: Iterable[Uncovered]) -> Iterable[Uncovered]:
    """Yield the days of which the export tells nothing at all."""
    return (one for one in uncovered if not _hours_told(statement, one.day))


def _tell_partial_days(statement: Statement, uncovered: Iterable[Uncovered]) -> Iterable[str]:
    for one in uncovered:
        hours = _hours_told(statement, one.day)
        if hours:
            yield (
                f"The export speaks for {hours} of 24 hours of {one.day}; {one.attempts} attempts "
                f"of the other hours were not compared."
            )


def _hours_told(statement: Statement, day: date) -> int:
    """Return how many hours of a day the export speaks for."""
    start_at = start_of_day(day)
    return sum(
        max(0, int((min(span.end_at, start_at + DAY) - max(span.start_at, start_at))
                   .total_seconds()) // 3600)
        for span in statement.spans
    )  # fmt: skip
