"""Exact shares of a change: what each factor of a product added, and how shares meet a grid.

Fractions over whole numbers, so nothing is rounded before the last step. No money, tokens or
tables here; `drivers.factors` says which numbers are multiplied.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import factorial, lcm, prod
from operator import itemgetter


def split_product(before: Sequence[Fraction], after: Sequence[Fraction]) -> list[Fraction]:
    """Return what each factor adds to the change of a product; the parts sum to the change.

    A part is the mean, over all orders in which the factors could have changed one after the
    other, of what that factor's step added (Shapley's value). So no order is preferred, a factor
    that did not change adds 0, and swapping before and after changes every part's sign.

    >>> [int(part) for part in split_product([Fraction(2), Fraction(3)], [Fraction(4)] * 2)]
    [7, 3]
    """
    pairs = [_to_integers(x, y) for x, y in zip(before, after, strict=True)]
    n = len(pairs)
    scale = factorial(n) * prod(denominator for _, _, denominator in pairs)
    weights = [factorial(k) * factorial(n - 1 - k) for k in range(n)]
    return [
        Fraction((y - x) * sum(map(int.__mul__, weights, _expand(pairs, left_out=f))), scale)
        for f, (x, y, _) in enumerate(pairs)
    ]


def place_on_grid(parts: Sequence[Fraction]) -> list[int]:
    """Return whole numbers next to the parts with the same sum, which must be whole.

    Each part is cut towards 0; the units that are missing then go to the largest cut-off pieces,
    the first of equal ones first. Parts of opposite sign are placed oppositely.

    >>> place_on_grid([Fraction(1, 3), Fraction(1, 3), Fraction(1, 3)])
    [1, 0, 0]
    >>> place_on_grid([Fraction(-7, 2), Fraction(1, 2)])
    [-3, 0]

    Raises:
        ValueError: the parts do not sum up to a whole number.
    """
    total = sum(parts, Fraction())
    if total.denominator != 1:
        msg = f"parts sum up to {total}, which is on no grid"
        raise ValueError(msg)
    placed = [int(part) for part in parts]
    missing = int(total) - sum(placed)
    sign = 1 if missing > 0 else -1
    pieces = [(sign * (part - whole), -i) for i, (part, whole) in enumerate(zip(parts, placed))]  # noqa: B905 - of one length
    for _, index in sorted(pieces, key=itemgetter(0, 1), reverse=True)[: abs(missing)]:
        placed[-index] += sign
    return placed


def _to_integers(x: Fraction, y: Fraction) -> tuple[int, int, int]:
    denominator = lcm(x.denominator, y.denominator)
    return int(x * denominator), int(y * denominator), denominator


def _expand(pairs: Sequence[tuple[int, int, int]], *, left_out: int) -> Iterator[int]:
    """Yield, for k from 0, the sum of all products with k factors after and the others before."""
    sums = [1]
    for index, (x, y, _) in enumerate(pairs):
        if index != left_out:
            sums = [
                x * same + y * one_less
                for same, one_less in zip([*sums, 0], [0, *sums], strict=True)
            ]
    yield from sums
