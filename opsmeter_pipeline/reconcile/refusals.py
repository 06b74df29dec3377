"""Which quarantined lines may belong to which place.

A line that tells its provider and model belongs there. Most lines that were refused do not: these
are a pool of their day. Where the export tells requests, the places that lack some take as many
from it, the one that lacks most first. Elsewhere a place that falls short takes its share of the
day's attempts. So no line explains two differences.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from opsmeter_pipeline.model.statement import COST, REQUESTS
from opsmeter_pipeline.reconcile.parts import share_of
from opsmeter_pipeline.reconcile.sums import EXACT, Case, Place, Refused

_RANKED = (REQUESTS, COST, "input_tokens", "output_tokens")
"""What says which place lacks most: the first of these that an export tells."""


def allot_refused(
    cases: Sequence[Case], refused: Iterable[Refused], *, attempts: Mapping[date, int]
) -> list[Case]:
    """Return the cases with the quarantined lines that may belong to each, in their order.

    Args:
        cases: both sides of each place.
        refused: all quarantined lines.
        attempts: all attempts of each day, of any provider.
    """
    taken: dict[Place, tuple[Refused, ...]] = {}
    pools: dict[date, list[Refused]] = {}
    by_place = {case.place: case for case in cases}
    for one in refused:
        place = _place_of(one, by_place)
        if place is not None:
            taken[place] = (*taken.get(place, ()), one)
        elif one.key is None:
            pools.setdefault(one.day, []).append(one)
    sizes = {day: sum(one.lines for one in pool) for day, pool in pools.items()}
    short = [case for case in cases if case.place.day in pools and _shortfall(case) > 0]
    for case in sorted(short, key=lambda case: (-_shortfall(case), *map(str, case.place))):
        day, own = case.place.day, taken.get(case.place, ())
        wanted = _lines_wanted(case, own, pool=sizes[day], attempts=attempts.get(day, 0))
        taken[case.place] = (*own, *_draw(pools[day], wanted))
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


def _lines_wanted(case: Case, own: Sequence[Refused], *, pool: int, attempts: int) -> int:
    """Return how many lines of its day's pool a place takes, besides those that name it."""
    ours = case.known.amounts.get(REQUESTS, Decimal())
    if REQUESTS in case.told:
        return max(0, int(case.told[REQUESTS] - ours) - sum(one.lines for one in own))
    if attempts == 0:
        return 0
    return int(share_of(Decimal(pool), ours, Decimal(attempts), measure=REQUESTS))


def _draw(pool: list[Refused], lines: int) -> Iterator[Refused]:
    """Yield up to that many lines of a pool and leave the rest in it."""
    left = lines
    while pool and left > 0:
        one = pool.pop()
        drawn = min(left, one.lines)
        if drawn < one.lines:
            pool.append(replace(one, lines=one.lines - drawn))
        left -= drawn
        yield replace(one, lines=drawn)
