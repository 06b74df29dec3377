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

Codes: TypeAlias = NDArray[np.uint32]


class Pairs:
    """Numbers of pairs, from 0 in the order of their coming.

    Attributes:
        count: how many pairs there are.
    """

    def __init__(self) -> None:
        """Begin without a pair."""
        self.count = 0
        self._kept = kernel.Pairs(*(np.zeros(1, dtype) for dtype in ("u4", "u4", "u4", "i8")))

    def number(self, first: Codes, second: Codes) -> Codes:
        """Return the number of each row's pair."""
        self._make_room(self.count + len(first))
        numbers = np.empty(len(first), np.uint32)
        self.count = kernel.number_pairs(first, second, self._kept, self.count, numbers)
        return numbers

    @property
    def first(self) -> Codes:
        """The first of each pair; a copy, as the others are, because room is made in place."""
        return self._kept.first[: self.count].copy()

    @property
    def second(self) -> Codes:
        """The second of each pair."""
        return self._kept.second[: self.count].copy()

    @property
    def rows(self) -> NDArray[np.int64]:
        """How many rows had each pair."""
        return self._kept.rows[: self.count].copy()

    def _make_room(self, pairs: int) -> None:
        for one in (self._kept.first, self._kept.second, self._kept.rows):
            grow(one, pairs)
        if 2 * pairs > len(self._kept.slots):
            slots = np.zeros(1 << (2 * pairs).bit_length(), np.uint32)
            self._kept = self._kept._replace(slots=slots)
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
            values.append(link.second[numbers])
            numbers = link.first[numbers]
        return [numbers, *reversed(values)]


def grow(rows: NDArray[np.generic], count: int) -> None:
    """Make room for so many rows, in place: for a large array the system moves pages, not bytes."""
    if count > len(rows):
        rows.resize((count, *rows.shape[1:]), refcheck=False)
