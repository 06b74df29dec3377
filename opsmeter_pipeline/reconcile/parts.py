"""What explains a difference, as far as there is evidence: parts that sum to it exactly.

Each cause has a bound: what it can explain at most, an exact sum where there is one, else an
estimate by means. Causes are taken in a fixed order, each as much as its bound and what is left
allow; the rest is `unexplained`. So no part is larger than the difference or of another sign.
"""

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Decimal

from opsmeter_pipeline.model.statement import COST, REQUESTS
from opsmeter_pipeline.reconcile.sums import EXACT, Amounts, Case

PARTS = ("unpriced", "quarantined", "missing", "late", "extra", "unexplained")
_ZERO = Decimal()
_CENT_OF_NOTHING = Decimal("1e-18")
Cause = tuple[str, Decimal | None]
"""A part's name and its bound; None if it can explain anything."""


def split_delta(case: Case, measure: str) -> dict[str, Decimal]:
    """Return the parts of a measure's delta, warehouse less statement; their sum is the delta.

    Raises:
        KeyError: the statement does not tell the measure.
    """
    delta = EXACT.subtract(case.known.amounts.get(measure, _ZERO), case.told[measure])
    causes = _causes_of_shortfall if delta < 0 else _causes_of_excess
    left = delta.copy_abs()
    parts: dict[str, Decimal] = dict.fromkeys(PARTS, _ZERO)
    for name, bound in causes(case, measure):
        part = left if bound is None else max(_ZERO, min(left, bound))
        parts[name] = EXACT.add(parts[name], part)
        left = EXACT.subtract(left, part)
    parts["unexplained"] = left
    if delta > 0:
        return parts
    return {name: part.copy_negate() if part else part for name, part in parts.items()}


def mean_of(case: Case, measure: str) -> Decimal | None:
    """Return the mean of an attempt at a place: ours, else the statement's; None if unknown."""
    known = case.known
    attempts = known.amounts.get(REQUESTS, _ZERO)
    if measure == COST:
        attempts -= known.unpriced_attempts
    ours = known.amounts.get(measure, _ZERO)
    if attempts > 0 and (ours > 0 or measure != COST):
        return share_of(ours, Decimal(1), attempts, measure=COST)
    requests = case.told.get(REQUESTS, _ZERO)
    if requests > 0 and measure in case.told:
        return share_of(case.told[measure], Decimal(1), requests, measure=COST)
    return None


def share_of(amount: Decimal, part: Decimal, whole: Decimal, *, measure: str) -> Decimal:
    """Return amount times part by whole, half-even: to 18 decimals if money, else whole.

    >>> share_of(Decimal(10), Decimal(1), Decimal(4), measure="requests")
    Decimal('2')
    """
    unit = _CENT_OF_NOTHING if measure == COST else Decimal(1)
    quotient = EXACT.divide(EXACT.multiply(amount, part), whole)
    return quotient.quantize(unit, rounding=ROUND_HALF_EVEN, context=EXACT)


def _causes_of_shortfall(case: Case, measure: str) -> Iterator[Cause]:
    """Yield what can make us have less than the provider says, the firmest evidence first."""
    lacking = "missing" if case.is_taken else "late"
    yield "quarantined", _bound_of_refused(case, measure)
    attempts, requests = case.known.amounts.get(REQUESTS, _ZERO), case.told.get(REQUESTS)
    if requests is not None and requests > 0:
        lacked = max(_ZERO, requests - attempts - case.refused_lines)
        yield lacking, share_of(case.told[measure], lacked, requests, measure=measure)
    elif attempts == 0:
        yield lacking, None
    if measure == COST:
        yield "unpriced", _bound_of_unpriced(case)
    if not case.is_taken:
        yield "late", None


def _causes_of_excess(case: Case, measure: str) -> Iterator[Cause]:
    """Yield what can make us have more than the provider says, the firmest evidence first."""
    yield "late", _amount(case.known.late, measure)
    yield "extra", _amount(case.known.unbilled, measure) if case.is_listed else None
    if not case.is_over:
        yield "late", None


def _bound_of_refused(case: Case, measure: str) -> Decimal:
    """Return what the quarantined lines may hold: what they tell, the others by the mean."""
    if measure == REQUESTS:
        return Decimal(case.refused_lines)
    untold = sum(one.lines for one in case.refused if measure not in one.amounts)
    mean = mean_of(case, measure) or _ZERO
    bound = share_of(mean, Decimal(untold), Decimal(1), measure=measure)
    for one in case.refused:
        bound = EXACT.add(bound, _amount(one.amounts, measure))
    return bound


def _bound_of_unpriced(case: Case) -> Decimal | None:
    """Return what the unpriced attempts may cost by the mean of the priced tokens.

    Where nothing is priced, nothing bounds it.
    """
    known = case.known
    if known.unpriced_attempts == 0:
        return _ZERO
    tokens = sum((known.amounts.get(n, _ZERO) for n in ("input_tokens", "output_tokens")), _ZERO)
    priced, cost = tokens - known.unpriced_tokens, _amount(known.amounts, COST)
    if priced <= 0 or cost <= 0:
        return None
    return share_of(cost, Decimal(known.unpriced_tokens), priced, measure=COST)


def _amount(amounts: Amounts, measure: str) -> Decimal:
    return amounts.get(measure, _ZERO)
