"""Compiled loops of the cubes: a number for each pair, and sums by number.

A column of a sum stands here as its place in a row of sums; `cube.sums` gives the columns their
names. All of one group's sums lie side by side in memory, because groups are many and come in any
order: a row per group is fetched once per event, a column per measure would be fetched each.
Compiled code stands together in one module (`model.compiled`).
"""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from opsmeter_pipeline.model.compiled import compiled, inlined

Flags: TypeAlias = NDArray[np.bool_]
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.uint32]

PARTS_OF_DOLLAR = 10**18
"""Money is added up as whole dollars and the parts beyond them, exact in two numbers of 64 bits."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, its bits without a pattern: 2^64 / golden ratio
_HALF = np.uint64(32)


class PairTable(NamedTuple):
    """Pairs of numbers, each with a number of its own, from 0 in the order of their coming.

    Attributes:
        slots: by hash, the pair's number and 1; 0 where none is. As many as a power of two, at most
            half of them taken.
        shift: 64 less the bits of that power: how far to shift a hash, whose first bits are best.
        first: the first of each pair.
        second: the second.
        rows: how many rows had the pair.
    """

    slots: Codes
    shift: int
    first: Codes
    second: Codes
    rows: Ints


class Money(NamedTuple):
    """Dollars of each event: whole ones, and the parts beyond them. 0 where it has none."""

    dollars: Ints
    parts: Ints


class Events(NamedTuple):
    """What each event adds; a count that it does not tell is 0."""

    is_first: Flags
    is_inferred: Flags
    is_failed: Flags
    is_unpriced: Flags
    is_unbounded: Flags
    is_timed: Flags
    input_tokens: Ints
    output_tokens: Ints
    cache_read_tokens: Ints
    cache_write_tokens: Ints
    reasoning_tokens: Ints
    latency_ms: Ints
    cost: Money
    low: Money
    high: Money


(
    REQUESTS, ATTEMPTS, REDELIVERIES, INFERRED, FAILURES,
    INPUT, CACHE_READ, CACHE_WRITE, OUTPUT, REASONING, LATENCY, TIMED,
    UNPRICED, UNBOUNDED,
    LOW, LOW_PARTS, HIGH, HIGH_PARTS,
    COST, COST_PARTS, INFERRED_COST, INFERRED_COST_PARTS, FAILED_COST, FAILED_COST_PARTS,
    MEASURES,
) = range(25)  # fmt: skip
"""The columns of sums, and how many there are; the parts of money stand beside its dollars."""
FINISHED, FINISHED_INPUT, FINISHED_OUTPUT, COSTED, STEPS = range(5)
"""The columns of counts of finished events; from `STEPS` on, how many have so many tokens: first of
input, up to each step and beyond the last, then of output."""
(
    INPUT_SQUARED, INPUT_LOG, INPUT_LOG_SQUARED, OUTPUT_SQUARED, OUTPUT_LOG, OUTPUT_LOG_SQUARED,
    COST_FLOAT, COST_SQUARED, STATISTICS,
) = range(9)  # fmt: skip
"""The columns of statistics of finished events, and how many there are."""


@compiled
def number_pairs(first: Codes, second: Codes, pairs: PairTable, count: int, numbers: Codes) -> int:
    """Write the number of each row's pair to `numbers`, and return how many pairs there are now.

    Args:
        first: the first of each row's pair.
        second: the second.
        pairs: those of earlier rows, with room for one more per row.
        count: how many there are.
        numbers: as long as there are rows.
    """
    for row in range(len(first)):
        slot = _find_slot(first[row], second[row], pairs)
        number = np.int64(pairs.slots[slot]) - 1
        if number < 0:
            number, count = count, count + 1
            pairs.slots[slot] = count
            pairs.first[number], pairs.second[number] = first[row], second[row]
            pairs.rows[number] = 0
        pairs.rows[number] += 1
        numbers[row] = number
    return count


@compiled
def place_pairs(pairs: PairTable, count: int) -> None:
    """Fill slots that are all 0 with the pairs that there are."""
    for number in range(count):
        pairs.slots[_find_slot(pairs.first[number], pairs.second[number], pairs)] = number + 1


@inlined
def _find_slot(first: np.uint32, second: np.uint32, pairs: PairTable) -> np.int64:
    """Return where a pair's number stands or should stand."""
    last = np.int64(len(pairs.slots)) - 1
    key = np.uint64(first) << _HALF | np.uint64(second)
    slot = np.int64(key * _FACTOR >> np.uint64(pairs.shift))
    while True:
        number = np.int64(pairs.slots[slot]) - 1
        if number < 0 or (pairs.first[number] == first and pairs.second[number] == second):
            return slot
        slot = (slot + 1) & last


@compiled
def add_events(numbers: Codes, events: Events, sums: Ints) -> None:
    """Add each event to the row of `sums` that its number says."""
    for row in range(len(numbers)):
        group = numbers[row]
        sums[group, REQUESTS] += events.is_first[row]
        sums[group, ATTEMPTS] += 1
        sums[group, INFERRED] += events.is_inferred[row]
        sums[group, FAILURES] += events.is_failed[row]
        sums[group, INPUT] += events.input_tokens[row]
        sums[group, CACHE_READ] += events.cache_read_tokens[row]
        sums[group, CACHE_WRITE] += events.cache_write_tokens[row]
        sums[group, OUTPUT] += events.output_tokens[row]
        sums[group, REASONING] += events.reasoning_tokens[row]
        sums[group, LATENCY] += events.latency_ms[row]
        sums[group, TIMED] += events.is_timed[row]
        if events.is_unpriced[row]:
            sums[group, UNPRICED] += 1
            sums[group, UNBOUNDED] += events.is_unbounded[row]
            _add_money(sums, group, LOW, events.low, row)
            _add_money(sums, group, HIGH, events.high, row)
            continue
        _add_money(sums, group, COST, events.cost, row)
        if events.is_inferred[row]:
            _add_money(sums, group, INFERRED_COST, events.cost, row)
        if events.is_failed[row]:
            _add_money(sums, group, FAILED_COST, events.cost, row)


@inlined
def _add_money(sums: Ints, group: int, column: int, money: Money, row: int) -> None:
    parts = sums[group, column + 1] + money.parts[row]
    carried = np.int64(parts >= PARTS_OF_DOLLAR)
    sums[group, column] += money.dollars[row] + carried
    sums[group, column + 1] = parts - carried * PARTS_OF_DOLLAR


@compiled
def add_moments(
    numbers: Codes, events: Events, input_steps: Ints, output_steps: Ints, counts: Ints,
    statistics: Floats,
) -> None:  # fmt: skip
    """Add each finished event to the rows of `counts` and `statistics` that its number says.

    Args:
        numbers: of each event.
        events: one that failed adds nothing, for an answer that was cut is no short one.
        input_steps: tokens that part the counts of inputs by size.
        output_steps: likewise of outputs.
        counts: a row for each number.
        statistics: likewise.
    """
    for row in range(len(numbers)):
        if events.is_failed[row]:
            continue
        group, read, told = numbers[row], events.input_tokens[row], events.output_tokens[row]
        counts[group, FINISHED] += 1
        counts[group, FINISHED_INPUT] += read
        counts[group, FINISHED_OUTPUT] += told
        counts[group, STEPS + _count_below(input_steps, read)] += 1
        counts[group, STEPS + len(input_steps) + 1 + _count_below(output_steps, told)] += 1
        _add_spread(statistics, group, INPUT_SQUARED, read)
        _add_spread(statistics, group, OUTPUT_SQUARED, told)
        cost = events.cost.dollars[row] + events.cost.parts[row] / PARTS_OF_DOLLAR
        if cost > 0:
            counts[group, COSTED] += 1
            statistics[group, COST_FLOAT] += cost
            statistics[group, COST_SQUARED] += cost * cost


@inlined
def _count_below(steps: Ints, tokens: int) -> int:
    below = 0
    while below < len(steps) and tokens > steps[below]:
        below += 1
    return below


@inlined
def _add_spread(statistics: Floats, group: int, column: int, tokens: int) -> None:
    """Add the square of the tokens, their logarithm, of 0 as of 1, and its square."""
    exact, log = float(tokens), math.log(max(tokens, 1))
    statistics[group, column] += exact * exact
    statistics[group, column + 1] += log
    statistics[group, column + 2] += log * log
