"""Which quarantined lines may belong to which place.

A line that tells its provider and model belongs there. Most lines that were refused do not: these
are a pool of their day, from which the places that fall short take what they lack, the one that
lacks most first. So no line explains two differences.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from opsmeter_pipeline.model.statement import COST, REQUESTS
from opsmeter_pipeline.reconcile.parts import mean_of
from opsmeter_pipeline.reconcile.sums import EXACT, Case, Place, Refused

if TYPE_CHECKING:
    from datetime import date

_RANKED = (REQUESTS, COST, "input_tokens", "output_tokens")
"""What says which place lacks most: the first of these that an export tells."""


def allot_refused(cases: Sequence[Case], refused: Iterable[Refused]) -> list[Case]:
    """Return the cases with the quarantined lines that may belong to each, in their order."""
    taken: dict[Place, tuple[Refused, ...]] = {}
    pools: dict[date, list[Refused]] = {}
    by_place = {case.place: case for case in cases}
    for one in refused:
        place = _place_of(one, by_place)
        if place is not None:
            taken[place] = (*taken.get(place, ()), one)
        elif one.key is None:
            pools.setdefault(one.day, []).append(one)
    own = [replace(case, refused=taken.get(case.place, ())) for case in cases]
    ranked = sorted(own, key=lambda case: (-_shortfall(case), case.place.provider,
                                           case.place.model or ""))  # fmt: skip
    for case in ranked:
        if _shortfall(case) > 0:
            lines = tuple(_draw(pools.get(case.place.day, []), _lines_lacking(case)))
            taken[case.place] = (*case.refused, *lines)
    return [replace(case, refused=taken.get(case.place, ())) for case in cases]


def _place_of(one: Refused, places: Mapping[Place, Case]) -> Place | None:
    """Return the place of lines that tell their model, at the grain of the export."""
    if one.key is None:
        return None
    exact = Place(one.day, *one.key)
    whole = Place(one.day, one.key.provider, None)
    return exact if exact in places else whole if whole in places else None


def _shortfall(case: Case) -> Decimal:
    measure = next((name for name in _RANKED if name in case.told), None)
    if measure is None:
        return Decimal()
    return EXACT.subtract(case.told[measure], case.known.amounts.get(measure, Decimal()))


def _lines_lacking(case: Case) -> int | None:
    """Return how many lines of the pool a place can use; None is all."""
    if REQUESTS in case.told:
        lacking = case.told[REQUESTS] - case.known.amounts.get(REQUESTS, Decimal())
    elif COST in case.told and (mean := mean_of(case, COST)):
        lacking = EXACT.divide(_shortfall(case), mean)
    else:
        return None
    return max(0, int(lacking.to_integral_value(ROUND_CEILING)) - case.refused_lines)


def _draw(pool: list[Refused], lines: int | None) -> Iterator[Refused]:
    """Yield up to that many lines of a pool and leave the rest in it."""
    left = lines
    while pool and (left is None or left > 0):
        one = pool.pop()
        drawn = one.lines if left is None else min(left, one.lines)
        if drawn < one.lines:
            pool.append(replace(one, lines=one.lines - drawn))
        if left is not None:
            left -= drawn
        yield replace(one, lines=drawn)
