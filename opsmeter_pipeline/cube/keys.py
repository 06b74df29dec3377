"""Numbers for combinations of values, so that sums of many groups are found by number.

A combination is numbered pair by pair: the first two columns make a number, that number and the
third column the next. Values are numbers of 32 bits here; `cube.sums` says of what.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from opsmeter_pipeline.cube import kernel

Codes: TypeAlias = kernel.Codes
_BITS, _FIRST_BITS = 64, 10


class Pairs:
    """Numbers of pairs, from 0 in the order of their coming.

    Attributes:
        count: how many pairs there are.
    """

    def __init__(self) -> None:
        """Begin without a pair."""
        self.count = 0
        self._kept = kernel.PairTable(
            np.zeros(1 << _FIRST_BITS, np.uint32),
            _BITS - _FIRST_BITS,
            first=np.zeros(0, np.uint32),
            second=np.zeros(0, np.uint32),
            rows=np.zeros(0, np.int64),
        )

    def number(self, first: Codes, second: Codes) -> Codes:
        """Return the number of each row's pair."""
        self._make_room(self.count + len(first))
        numbers = np.empty(len(first), np.uint32)
        told = (_read_only(first), _read_only(second))
        self.count = kernel.number_pairs(*told, self._kept, self.count, numbers)
        return numbers

    def values(self, numbers: Codes) -> tuple[Codes, Codes]:
        """Return the first and the second of the pairs with these numbers."""
        return self._kept.first[numbers], self._kept.second[numbers]

    @property
    def rows(self) -> NDArray[np.int64]:
        """How many rows had each pair; a copy, because room is made in place."""
        return self._kept.rows[: self.count].copy()

    def _make_room(self, pairs: int) -> None:
        for one in (self._kept.first, self._kept.second, self._kept.rows):
            grow(one, pairs)
        if 2 * pairs > len(self._kept.slots):
            bits = (2 * pairs).bit_length()
            slots = np.zeros(1 << bits, np.uint32)
            self._kept = self._kept._replace(slots=slots, shift=_BITS - bits)
            kernel.place_pairs(self._kept, self.count)


class Keys:
    """Numbers of combinations of several columns, from 0 in the order of their coming."""

    def __init__(self, columns: int) -> None:
        """Begin without a combination of so many columns."""
        self._links = [Pairs() for _ in range(columns - 1)]

    @property
    def count(self) -> int:
        """How many combinations there are."""
        return self._links[-1].count

    def number(self, columns: Sequence[Codes]) -> list[Codes]:
        """Return each row's numbers: of its first value, its first two, and so on to all."""
        links = iter(self._links)
        return [*accumulate(columns, lambda numbers, values: next(links).number(numbers, values))]

    def values(self, numbers: Codes, columns: int) -> list[Codes]:
        """Return the values of so many columns, by the numbers that `number` gave for these."""
        values: list[Codes] = []
        for link in reversed(self._links[: columns - 1]):
            numbers, last = link.values(numbers)
            values.append(last)
        return [numbers, *reversed(values)]


def _read_only(codes: Codes) -> Codes:
    """Return a view of one kind of memory: Numba would compile again for each other kind."""
    view = codes.view()
    view.flags.writeable = False
    return view


def grow(rows: NDArray[np.generic], count: int) -> None:
    """Make room for so many rows, in place: for a large array the system moves pages, not bytes."""
    if count > len(rows):
        rows.resize((count, *rows.shape[1:]), refcheck=False)
