"""What the measures of a pair come to: one verdict, and the kind of regression.

A measure counts if it is beyond chance and large enough to matter. Up is worse in each of them.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import polars as pl

from opsmeter_pipeline.drift.evidence import is_beyond_chance, reach, weigh_evidence
from opsmeter_pipeline.drift.limits import DriftLimits
from opsmeter_pipeline.drift.measures import (
    COST,
    FAILURES,
    INPUT,
    INPUT_MEAN,
    MIX,
    OUTPUT,
    OUTPUT_MEAN,
    OUTPUT_TAIL,
    RETRIES,
    ROUTING,
    SHARES,
    UNIT_COST,
    measure_pairs,
)

REGRESSED, IMPROVED, SAME, MIXED = "regressed", "improved", "same", "mix"
NOT_ENOUGH = "not_enough_data"
VERDICTS = (REGRESSED, IMPROVED, SAME, MIXED, NOT_ENOUGH)
CREEP, VERBOSITY, RETRY, ROUTED = "context_creep", "verbosity", "retry_multiplier", "routing"
TOOLS, UNIT = "tool_inflation", "unit_price"
KINDS: Mapping[str, str] = MappingProxyType(
    {
        CREEP: "the input of most calls grew",
        TOOLS: "the input of some calls grew, not that of most: perhaps what tools return",
        VERBOSITY: "answers grew",
        RETRY: "a request takes more attempts, or more of them fail",
        ROUTED: "the same tenants were routed to dearer models",
        UNIT: "the same model and about the same tokens cost more: cache, tier or price",
    }
)
"""The kinds of regression, and what each means."""
_KIND_OF: Mapping[str, str] = MappingProxyType(
    {
        INPUT: CREEP,
        INPUT_MEAN: CREEP,
        OUTPUT: VERBOSITY,
        OUTPUT_MEAN: VERBOSITY,
        OUTPUT_TAIL: VERBOSITY,
        RETRIES: RETRY,
        FAILURES: RETRY,
        ROUTING: ROUTED,
    }
)
_MONEY = (COST, UNIT_COST)
_MUST_BE_SAME = (COST, INPUT_MEAN, OUTPUT_MEAN, RETRIES)
_TOOL_RATIO = 2.0
"""By how much the mean of the input must have grown more than the usual input, in logs."""


def weigh_pairs(cells: pl.DataFrame, limits: DriftLimits) -> pl.DataFrame:
    """Return one row per pair and measure that was tested, with what it came to.

    Args:
        cells: as `measure_pairs` wants them.
        limits: what counts.

    Returns:
        What `measure_pairs` returns, and `low`, `high` (ends of the interval of `estimate`),
        `log_evidence`, `change`, `change_low` and `change_high` (a ratio less 1; of shares a
        difference), `is_confident` and `is_material`. Sorted by pair, the strongest first.
    """
    is_share = pl.col("measure").is_in([*SHARES])
    scale = pl.when(is_share).then(limits.share_scale).otherwise(limits.scale)
    measured = measure_pairs(cells, limits).filter(_is_enough(limits)).with_columns(
        # The best of several steps is judged as if each had been asked for.
        tests=pl.len().over("pair", "measure"),
        log_evidence=weigh_evidence(pl.col("estimate"), pl.col("variance"), scale),
    )  # fmt: skip
    tested = measured.sort(
        "pair", "log_evidence", "measure", "above_tokens", descending=[False, True, False, False]
    ).unique(["pair", "measure"], keep="first", maintain_order=True)
    tests = pl.col("tests").cast(pl.Float64)
    radius = reach(pl.col("variance"), scale, evidence=limits.evidence * tests)
    tested = tested.with_columns(
        low=pl.col("estimate") - radius,
        high=pl.col("estimate") + radius,
        log_evidence=pl.col("log_evidence") - tests.log(),
    )
    ends = {"change": "estimate", "change_low": "low", "change_high": "high"}
    return tested.with_columns(
        *(
            pl.when(is_share).then(end).otherwise(pl.col(end).exp() - 1).alias(name)
            for name, end in ends.items()
        ),
        is_confident=is_beyond_chance(
            pl.col("log_evidence"), evidence=limits.evidence, false_share=limits.false_share
        ),
        is_material=_is_material(limits),
    ).sort("pair", "log_evidence", "measure", descending=[False, True, False])


def find_hidden(cells: pl.DataFrame, limits: DriftLimits) -> pl.DataFrame:
    """Return per pair `is_hidden`: more of the new side's attempts have no price than before.

    What these cost is in no measure of cost, and where only the new side has their models, their
    tokens are in no measure either.

    Args:
        cells: sums of both sides, as for `weigh_pairs`.
        limits: what counts.
    """
    unpriced, attempts = pl.col("unpriced_attempts"), pl.col("attempts")
    new, old = (
        unpriced.filter(is_new=side).sum() / attempts.filter(is_new=side).sum()
        for side in (True, False)
    )
    return cells.group_by("pair").agg(is_hidden=new - old > limits.max_unpriced_growth)


def judge_pairs(
    tested: pl.DataFrame, hidden: pl.DataFrame, pairs: pl.Series, limits: DriftLimits
) -> pl.DataFrame:
    """Return one row per pair: `verdict`, `regression_type`, the loudest `measure`, `is_hidden`.

    Args:
        tested: what `weigh_pairs` returned.
        hidden: what `find_hidden` returned; such a pair regressed, or nobody can tell.
        pairs: all pairs, those without any tested measure too.
        limits: what counts.
    """
    counted = tested.filter("is_confident", "is_material")
    moved = counted.filter(pl.col("measure") != MIX).group_by("pair", maintain_order=True).agg(
        worse=(pl.col("estimate") > 0).any(),
        better=(pl.col("estimate") < 0).any(),
        loudest=pl.col("estimate").first(),
        up=pl.col("measure").filter(pl.col("estimate") > 0),
        down=pl.col("measure").filter(pl.col("estimate") < 0),
    )  # fmt: skip
    cost = tested.filter(measure=COST).select("pair", cost="estimate")
    mixed = counted.filter(measure=MIX).select("pair", is_mixed=True)
    edge = math.log1p(limits.same_within)
    same = tested.filter(pl.col("measure").is_in(_MUST_BE_SAME)).group_by("pair").agg(
        is_same=((pl.col("low") > -edge) & (pl.col("high") < edge)).all(),
        measures=pl.col("measure"),
    )  # fmt: skip
    inputs = tested.filter(pl.col("measure").is_in([INPUT, INPUT_MEAN])).pivot(
        "measure", index="pair", values="estimate"
    )
    known = pl.DataFrame({"pair": pairs})
    for part in (moved, cost, mixed, same, inputs, hidden):
        known = known.join(part, on="pair", how="left")
    return pl.DataFrame(
        [_judge(row) for row in known.iter_rows(named=True)],
        schema={"pair": pairs.dtype, "verdict": pl.String, "regression_type": pl.String,
                "measure": pl.String},
        orient="row",
    ).join(hidden, on="pair", how="left", maintain_order="left")  # fmt: skip


def _is_enough(limits: DriftLimits) -> pl.Expr:
    """Say whether there is enough to judge a measure by."""
    fewer = pl.min_horizontal("baseline_count", "new_count")
    is_tail = (fewer * pl.col("share") >= limits.min_tail) & (pl.col("share") <= limits.tail_share)
    tail = (pl.col("measure") != OUTPUT_TAIL) | is_tail
    is_calm = pl.col("measure").is_in([*SHARES]) | (pl.col("variance") <= limits.max_error**2)
    return (fewer >= limits.min_attempts) & tail & is_calm


def _is_material(limits: DriftLimits) -> pl.Expr:
    size, share = pl.col("estimate").abs(), pl.col("share")
    measure = pl.col("measure")
    ratio = math.log1p(limits.min_tail_change)
    # Of two shares around a common one: their ratio is at least that where this is.
    relative = 2 * share * math.tanh(ratio / 2)
    return (
        pl.when(measure == OUTPUT_TAIL).then(size >= relative)
        .when(measure == FAILURES).then(size >= limits.min_failure_change)
        .otherwise(size >= math.log1p(limits.min_change))
    )  # fmt: skip


def _judge(row: Mapping[str, object]) -> tuple[object, str, str | None, str | None]:
    pair, verdict = row["pair"], _choose(row)
    if row["is_hidden"] and verdict != REGRESSED:
        verdict = NOT_ENOUGH
    if verdict == MIXED:
        return pair, verdict, None, MIX
    names = row["up"] if verdict == REGRESSED else row["down"] if verdict == IMPROVED else None
    if not isinstance(names, list) or not names:
        return pair, verdict, None, None
    named = cast("list[str]", names)
    first = next((name for name in named if name not in _MONEY), named[0])
    kind = _name_kind(named, row) if verdict == REGRESSED else None
    return pair, verdict, kind, first


def _choose(row: Mapping[str, object]) -> str:
    worse, better = bool(row["worse"]), bool(row["better"])
    if worse and better:  # some went up and some down: what it costs decides, if that is known
        weight = _number(row["cost"]) or _number(row["loudest"])
        return REGRESSED if weight > 0 else IMPROVED
    if worse or better:
        return REGRESSED if worse else IMPROVED
    if row["is_mixed"]:
        return MIXED
    measures = row["measures"]
    is_judged = isinstance(measures, list) and OUTPUT_MEAN in measures and INPUT_MEAN in measures
    return SAME if is_judged and row["is_same"] else NOT_ENOUGH


def _name_kind(up: list[str], row: Mapping[str, object]) -> str:
    """Return the kind of regression of the measure that speaks loudest, money last."""
    kinds = [*dict.fromkeys(_KIND_OF[name] for name in up if name in _KIND_OF)]
    kind = kinds[0] if kinds else UNIT
    usual, mean = _number(row.get(INPUT)), _number(row.get(INPUT_MEAN))
    if kind == CREEP and INPUT_MEAN in up and mean >= _TOOL_RATIO * max(usual, 0.0):
        return TOOLS
    return kind


def _number(value: object) -> float:
    return value if isinstance(value, float) else 0.0
