"""Combinations of values are numbered in the order of their coming, however they come."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from opsmeter_pipeline.cube.keys import Codes, Keys

ANY = st.integers(0, 2**32 - 1) | st.integers(0, 2) | st.integers(2**32 - 3, 2**32 - 1)
ROWS = st.lists(st.tuples(ANY, ANY, ANY), max_size=60)


def columns_of(rows: list[tuple[int, int, int]]) -> list[Codes]:
    table = np.array(rows, np.uint32).reshape(-1, 3)
    return [np.ascontiguousarray(table[:, column]) for column in range(3)]


@given(parts=st.lists(ROWS, max_size=4))
def test_equal_combinations_have_one_number_and_it_leads_back_to_them(parts: list) -> None:
    keys, order = Keys(3), dict[tuple[int, ...], int]()
    for rows in parts:
        _, pairs, numbers = keys.number(columns_of(rows))
        for row, pair, number in zip(rows, pairs.tolist(), numbers.tolist(), strict=True):
            assert order.setdefault(row, len(order)) == number
            assert [int(one[0]) for one in keys.values(np.array([pair]), 2)] == [*row[:2]]
    assert keys.count == len(order)
    found = keys.values(np.arange(keys.count, dtype=np.uint32), 3)
    assert [*zip(*(one.tolist() for one in found), strict=True)] == [*order]


def test_many_combinations_are_told_apart() -> None:
    """More than fit into the first table, and all with hashes that begin alike."""
    rows = 100_000
    first = np.arange(rows, dtype=np.uint32) << 12
    keys = Keys(2)
    for _ in range(2):
        assert (keys.number([first, first])[-1] == np.arange(rows)).all()
    assert keys.count == rows
