"""Percentiles read back from counts above steps.

Between two steps the shares above them are joined by a straight line on normal paper (the quantile
of the share against the log of the tokens), which is exact if tokens are log-normal there.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

_P95 = 0.05


def read_p95(steps: Sequence[int], above: Sequence[int], *, count: int) -> float | None:
    """Return the 95th percentile, or None if it lies outside of the steps or there is nothing.

    Args:
        steps: limits, ascending.
        above: how many values are above each.
        count: how many values there are.

    >>> read_p95([16, 32, 64], [100, 10, 1], count=100) is not None
    True
    >>> read_p95([16, 32, 64], [4, 2, 1], count=100) is None
    True
    """
    shares = [one / count for one in above] if count else []
    for (low, high), (more, fewer) in zip(pairwise(steps), pairwise(shares), strict=False):
        if more >= _P95 > fewer:
            return _between(low, high, more, fewer, least=0.5 / count)
    return None


def _between(low: int, high: int, more: float, fewer: float, *, least: float) -> float:
    quantile = NormalDist().inv_cdf
    start, end = (quantile(1 - min(max(one, least), 1 - least)) for one in (more, fewer))
    part = (quantile(1 - _P95) - start) / (end - start) if end > start else 0.0
    return math.exp(math.log(low) + part * (math.log(high) - math.log(low)))
