"""What is compared between two sides, adjusted for who called and which model answered.

Attempts are only compared with attempts of the same tenant and model (or tenant, where the model is
what may have changed), so a change of the mix moves no measure. Each group's variance is that of
both sides together, which is exact if nothing changed, also in groups of two. All sums come from
the cube and add up, so it does not matter in how many batches they arrived.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.drift.limits import DriftLimits
from opsmeter_pipeline.model.tables import OUTPUT_STEPS, name_step

COST = "cost_per_request"
UNIT_COST = "unit_cost"
INPUT, INPUT_MEAN = "input_tokens", "input_mean"
OUTPUT, OUTPUT_MEAN, OUTPUT_TAIL = "output_tokens", "output_mean", "output_tail"
ROUTING = "routing"
RETRIES = "attempts_per_request"
FAILURES = "failure_share"
MIX = "tenant_mix"
MEASURES: Mapping[str, str] = MappingProxyType(
    {
        COST: "cost of a request",
        UNIT_COST: "cost of an attempt of the same model",
        INPUT: "usual input tokens",
        INPUT_MEAN: "mean input tokens",
        OUTPUT: "usual output tokens",
        OUTPUT_MEAN: "mean output tokens",
        OUTPUT_TAIL: "share of long answers",
        ROUTING: "cost by the models that tenants were routed to",
        RETRIES: "attempts per request",
        FAILURES: "share of attempts that failed",
        MIX: "cost by which tenants called",
    }
)
"""What each is; the last one is nobody's regression."""
SHARES = frozenset({OUTPUT_TAIL, FAILURES})
"""Measures whose change is a difference of shares; of all others it is the log of a ratio."""
_PAIR, _SIDE = "pair", "is_new"
_BY_TENANT = [_PAIR, "tenant_id"]
_BY_MODEL = [*_BY_TENANT, "provider", "model"]


class _Sums(NamedTuple):
    """Names of the columns that hold a measure's count, sum and sum of squares."""

    counted: str
    total: str
    squares: str


def measure_pairs(cells: pl.DataFrame, limits: DriftLimits) -> pl.DataFrame:
    """Return one row per pair and measure that can be compared: its change and the variance of it.

    Args:
        cells: sums by `pair`, `is_new`, `tenant_id`, `provider` and `model`: requests, attempts and
            failures of the cube and all measures of `token_moments_hourly`.
        limits: how the tail and retries are measured.

    Returns:
        Columns `pair`, `measure`, `above_tokens` (of the tail, which has a row for each step),
        `estimate` and `variance` (log of a ratio or difference of shares), `share` (of both sides,
        of shares only), `baseline_count` and `new_count`: what was compared, in groups that both
        sides have.
    """
    scored = _score(cells)
    by_model, by_tenant, everyone = (
        _set_side_by_side(scored, keys) for keys in (_BY_MODEL, _BY_TENANT, [_PAIR])
    )
    tokens = {
        kind: _Sums("finished_attempts", f"finished_{kind}_tokens", f"{kind}_squared")
        for kind in ("input", "output")
    }
    logs = {
        kind: _Sums("finished_attempts", f"{kind}_log", f"{kind}_log_squared") for kind in tokens
    }
    cost = _Sums("costed_attempts", "cost", "cost_squared")
    retries = _compare_retries(by_tenant, limits)
    found = {
        COST: _add_retries(_compare_means(by_tenant, cost), retries),
        UNIT_COST: _compare_means(by_model, cost),
        INPUT: _compare_values(by_model, logs["input"]),
        INPUT_MEAN: _compare_means(by_model, tokens["input"]),
        OUTPUT: _compare_values(by_model, logs["output"]),
        OUTPUT_MEAN: _compare_means(by_model, tokens["output"]),
        ROUTING: _compare_values(
            by_tenant, _Sums("costed_attempts", "model_score", "model_score_squared")
        ),
        RETRIES: retries,
        FAILURES: _compare_values(by_model, _Sums("attempts", "failures", "failures")),
        MIX: _compare_values(
            everyone, _Sums("scored_attempts", "tenant_score", "tenant_score_squared")
        ),
    }
    tails = {one: _compare_tail(by_model, one) for one in OUTPUT_STEPS}
    told = [
        *((name, None, rows) for name, rows in found.items()),
        *((OUTPUT_TAIL, one, rows) for one, rows in tails.items()),
    ]
    return pl.concat(
        rows.select(
            _PAIR,
            pl.lit(name).alias("measure"),
            pl.lit(step, pl.Int64).alias("above_tokens"),
            *("estimate", "variance", "share", "baseline_count", "new_count"),
        )
        for name, step, rows in told
    ).filter(pl.col("estimate").is_finite(), pl.col("variance").is_finite())


def _score(cells: pl.DataFrame) -> pl.DataFrame:
    """Add what an attempt of a model, and of a tenant, usually costs, in logs, on both sides.

    By these scores alone two mixes are compared. Where most attempts have no price, tenants are
    scored by their tokens.
    """
    mean = pl.col("cost").sum() / pl.col("costed_attempts").sum()
    tokens = pl.col("finished_input_tokens").sum() + pl.col("finished_output_tokens").sum()
    is_costed = 2 * pl.col("costed_attempts").sum() >= pl.col("finished_attempts").sum()
    scored = cells.with_columns(
        mean.log().over(_PAIR, "provider", "model").alias("model_score"),
        mean.log().over(_BY_TENANT).alias("cost_score"),
        (tokens / pl.col("finished_attempts").sum()).log().over(_BY_TENANT).alias("token_score"),
        is_costed.over(_PAIR).alias("is_costed"),
    ).with_columns(
        pl.when("is_costed").then("cost_score").otherwise("token_score").alias("tenant_score"),
        pl.when("is_costed").then("costed_attempts").otherwise("finished_attempts")
        .alias("scored_attempts"),
    )  # fmt: skip
    counts = {"model_score": "costed_attempts", "tenant_score": "scored_attempts"}
    return scored.with_columns(
        pl.when(pl.col(count) > 0).then(pl.col(count) * pl.col(score).pow(power)).alias(name)
        for score, count in counts.items()
        for power, name in ((1, score), (2, f"{score}_squared"))
    ).drop("cost_score", "token_score", "is_costed")


def _set_side_by_side(scored: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return the sums of both sides in one row for each group that both have."""
    numbers = [name for name, kind in scored.schema.items() if kind.is_numeric() and name != _PAIR]
    # Exact money is not tested; sorted, because floats add up differently in another order.
    order = ["tenant_id", "provider", "model"]
    grouped = scored.sort(order).group_by([*keys, _SIDE], maintain_order=True)
    sums = grouped.agg(pl.col(numbers).sum())
    baseline, new = (sums.filter(pl.col(_SIDE) == side).drop(_SIDE) for side in (False, True))
    return baseline.join(new, on=keys, suffix="_new").sort(keys)


def _compare_tail(by_model: pl.DataFrame, step: int) -> pl.DataFrame:
    """Return the difference of the shares of answers that are longer than a step."""
    name = name_step("output", step)
    return _compare_values(by_model, _Sums("finished_attempts", name, name))


def _compare_values(groups: pl.DataFrame, sums: _Sums) -> pl.DataFrame:
    """Return the difference of means: of logs, or of shares."""
    return _compare(
        groups,
        sums,
        unit=pl.lit(1.0),
        estimate=(pl.col("new") - pl.col("baseline")) / pl.col("weight"),
    )


def _compare_means(groups: pl.DataFrame, sums: _Sums) -> pl.DataFrame:
    """Return the log of the ratio of means; a group's unit is its mean on both sides."""
    total = pl.col(sums.total) + pl.col(f"{sums.total}_new")
    count = pl.col(sums.counted) + pl.col(f"{sums.counted}_new")
    return _compare(
        groups.filter(total > 0),
        sums,
        unit=total / count,
        estimate=(pl.col("new") / pl.col("baseline")).log(),
    )


def _compare(
    groups: pl.DataFrame, sums: _Sums, *, unit: pl.Expr, estimate: pl.Expr
) -> pl.DataFrame:
    n, s, q = (pl.col(name) for name in sums)
    n_new, s_new, q_new = (pl.col(f"{name}_new") for name in sums)
    both, total, squares = n + n_new, s + s_new, q + q_new
    weight = n * n_new / both
    spread = ((squares - total * total / both) / (both - 1)).clip(0) / unit.pow(2)
    return _sum_groups(
        groups.filter(n > 0, n_new > 0).select(
            _PAIR,
            weight=weight,
            baseline=weight * s / n / unit,
            new=weight * s_new / n_new / unit,
            variance=weight * spread,
            total=total.cast(pl.Float64),
            baseline_count=n,
            new_count=n_new,
        ),
        estimate,
    )


def _sum_groups(parts: pl.DataFrame, estimate: pl.Expr) -> pl.DataFrame:
    counts = pl.col("baseline_count") + pl.col("new_count")
    return parts.group_by(_PAIR, maintain_order=True).agg(pl.all().sum()).select(
        _PAIR,
        estimate=estimate,
        variance=pl.col("variance") / pl.col("weight").pow(2),
        share=pl.col("total") / counts,
        baseline_count="baseline_count",
        new_count="new_count",
    )  # fmt: skip


def _compare_retries(by_tenant: pl.DataFrame, limits: DriftLimits) -> pl.DataFrame:
    """Return the log of the ratio of attempts per request.

    The cube has no squares of attempts per request. If each attempt is followed by another with one
    probability, they are geometric, which tells the variance; storms make it larger.
    """
    n, n_new = pl.col("requests"), pl.col("requests_new")
    tried = pl.col("attempts") + pl.col("attempts_new")
    more = (tried / (n + n_new) - 1).clip(0)
    weight = n * n_new / (n + n_new)
    return _sum_groups(
        by_tenant.filter(n > 0, n_new > 0).select(
            _PAIR,
            weight=weight,
            baseline=weight * pl.col("attempts") / n,
            new=weight * pl.col("attempts_new") / n_new,
            variance=weight * limits.retry_spread * more * (1 + more),
            total=tried.cast(pl.Float64),
            baseline_count=n,
            new_count=n_new,
        ),
        (pl.col("new") / pl.col("baseline")).log(),
    )


def _add_retries(cost: pl.DataFrame, retries: pl.DataFrame) -> pl.DataFrame:
    """Return the cost of a request: that of an attempt, and how many it takes."""
    return cost.join(retries, on=_PAIR, how="left", suffix="_retries").with_columns(
        estimate=pl.col("estimate") + pl.col("estimate_retries").fill_null(0.0),
        variance=pl.col("variance") + pl.col("variance_retries").fill_null(0.0),
    )
