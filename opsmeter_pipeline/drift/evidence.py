"""How strongly a difference speaks against chance, whenever and however often one looks.

A mixture of likelihood ratios over changes of all sizes, the usual size being `scale` (Robbins;
the mixture sequential test of Johari and others). It is a martingale as long as nothing changed, so
it exceeds 200 once in 200 comparisons at most, over all looks together (ADR 0030). Several tests at
one look are told from chance by the rule of Benjamini and Hochberg on such values, which holds
however they depend on each other (Wang and Ramdas).

Statistics, not money: floats.
"""

import math

import polars as pl


def weigh_evidence(estimate: pl.Expr, variance: pl.Expr, scale: pl.Expr) -> pl.Expr:
    """Return the log of how many times likelier a change explains an estimate than chance does.

    Without any variance all values are equal, and nothing speaks for a change.

    >>> frame = pl.DataFrame({"d": [0.0, 0.1, 0.1], "v": [0.01, 0.0004, 0.0], "s": 0.1})
    >>> frame.select(weigh_evidence(*map(pl.col, "dvs")).round(2)).to_series().to_list()
    [-0.35, 10.39, 0.0]
    """
    prior = scale.pow(2)
    both = variance + prior
    log = 0.5 * (variance / both).log() + estimate.pow(2) * prior / (2 * variance * both)
    return pl.when(variance > 0).then(log).otherwise(0.0)


def reach(variance: pl.Expr, scale: pl.Expr, *, evidence: pl.Expr) -> pl.Expr:
    """Return how far from its estimate a change may be so that the evidence does not exclude it."""
    prior = scale.pow(2)
    both = variance + prior
    needed = evidence.log() + 0.5 * (both / variance).log()
    return pl.when(variance > 0).then((2 * variance * both / prior * needed).sqrt()).otherwise(0.0)


def is_beyond_chance(log_evidence: pl.Expr, *, evidence: float, false_share: float) -> pl.Expr:
    """Return which of all tests of one look are told: each strong enough, alone and among all.

    Of `n` tests, the `k` strongest are told if each is at least `n / (k * false_share)`.
    """
    rank = log_evidence.rank("max", descending=True)
    needed = (pl.len() / (rank * false_share)).log()
    weakest = log_evidence.filter(log_evidence >= needed).min()
    return ((log_evidence >= weakest) & (log_evidence >= math.log(evidence))).fill_null(value=False)
