"""How tokens and cost of finished events spread: counts by size, squares and logarithms.

Their sums tell means, variances and tails of any window. Logarithms and squares are floats, for
tests of drift; no money that is billed or shown comes from here.
"""

from itertools import accumulate

import numpy as np
import polars as pl

from opsmeter_pipeline.cube import kernel
from opsmeter_pipeline.cube.keys import Codes, grow
from opsmeter_pipeline.cube.measures import to_column
from opsmeter_pipeline.model.tables import INPUT_STEPS, OUTPUT_STEPS, name_step

_STEPS = {"input": INPUT_STEPS, "output": OUTPUT_STEPS}
_INPUT, _OUTPUT = (np.array(steps, np.int64) for steps in _STEPS.values())
_COUNTS = {
    "finished_attempts": kernel.FINISHED,
    "finished_input_tokens": kernel.FINISHED_INPUT,
    "finished_output_tokens": kernel.FINISHED_OUTPUT,
    "costed_attempts": kernel.COSTED,
}
_STATISTICS = {
    "input_squared": kernel.INPUT_SQUARED,
    "input_log": kernel.INPUT_LOG,
    "input_log_squared": kernel.INPUT_LOG_SQUARED,
    "output_squared": kernel.OUTPUT_SQUARED,
    "output_log": kernel.OUTPUT_LOG,
    "output_log_squared": kernel.OUTPUT_LOG_SQUARED,
    "cost": kernel.COST_FLOAT,
    "cost_squared": kernel.COST_SQUARED,
}


class Moments:
    """Sums of finished events by a number for each of their groups, part by part."""

    def __init__(self) -> None:
        """Begin without an event."""
        sizes = sum(len(steps) + 1 for steps in _STEPS.values())
        self._counts: kernel.Ints = np.zeros((0, kernel.STEPS + sizes), np.int64)
        self._statistics: kernel.Floats = np.zeros((0, kernel.STATISTICS), np.float64)

    def add(self, numbers: Codes, events: kernel.Events, groups: int) -> None:
        """Add events, a group's number for each; there are that many groups now."""
        self._make_room(groups)
        kernel.add_moments(numbers, events, _INPUT, _OUTPUT, self._counts, self._statistics)

    def columns(self, groups: int) -> dict[str, pl.Series]:
        """Return the sums as columns, a row for each of that many groups."""
        self._make_room(groups)
        columns = {name: to_column(self._counts, place) for name, place in _COUNTS.items()}
        first = kernel.STEPS
        for kind, steps in _STEPS.items():
            columns |= self._count_above(kind, steps, first)
            first += len(steps) + 1
        return columns | {
            name: to_column(self._statistics, place) for name, place in _STATISTICS.items()
        }

    def _make_room(self, groups: int) -> None:
        grow(self._counts, groups)
        grow(self._statistics, groups)

    def _count_above(self, kind: str, steps: tuple[int, ...], first: int) -> dict[str, pl.Series]:
        """Return how many have more tokens than each step: all that are larger, added up."""
        sizes = (to_column(self._counts, first + 1 + nth) for nth in reversed(range(len(steps))))
        above = [*accumulate(sizes, lambda more, here: more + here)]
        names = [name_step(kind, step) for step in reversed(steps)]
        return dict(zip(names, above, strict=True))
