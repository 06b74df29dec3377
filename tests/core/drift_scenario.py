"""Named sides of a comparison: sums as the cube has them, of traffic that is told in a few numbers.

A side's tokens are log-normal; its sums are what that distribution says, so no test draws anything.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import NormalDist
from typing import Any

import polars as pl

from opsmeter_pipeline.drift import PAIRS_SCHEMA, compare
from opsmeter_pipeline.drift.limits import DRIFT_LIMITS, DriftLimits
from opsmeter_pipeline.model.columns import MONEY
from opsmeter_pipeline.model.tables import (
    INPUT_STEPS,
    OUTPUT_STEPS,
    TOKEN_MOMENTS_HOURLY,
    name_step,
)

DEPLOY_AT = datetime(2026, 11, 20, tzinfo=UTC)
AS_OF = DEPLOY_AT + timedelta(days=1)


@dataclass(frozen=True)
class Traffic:
    """One group of calls, of one tenant and model.

    Attributes:
        attempts: how many, all of one request each unless `requests` says otherwise.
        input_median: of input tokens.
        output_median: of output tokens.
        spread: standard deviation of the log of both.
        input_tail: share of calls whose input is ten times as long.
        output_tail: share of answers that are long: 4,000 tokens more.
        failures: attempts that failed.
        requests: logical requests; None is as many as attempts.
        price: dollars per token.
        unpriced: whether nothing has a price.
        tenant: whose calls.
        model: which model answered.
    """

    attempts: int = 4_000
    input_median: float = 1_000
    output_median: float = 200
    spread: float = 0.8
    input_tail: float = 0.0
    output_tail: float = 0.0
    failures: int = 0
    requests: int | None = None
    price: float = 1e-6
    unpriced: bool = False
    tenant: str = "h_a"
    model: str = "gpt-5-mini"

    def to_cell(self, *, is_new: bool) -> dict[str, Any]:
        n = self.attempts - self.failures
        tokens = self._spread("input", n) | self._spread("output", n)
        total = tokens["finished_input_tokens"] + tokens["finished_output_tokens"]
        cost = 0.0 if self.unpriced else total * self.price
        costed = 0 if self.unpriced else n
        exact = Decimal(repr(round(cost, 9)))
        return tokens | {
            "pair": 0, "is_new": is_new, "provider": "openai", "model": self.model,
            "tenant_id": self.tenant, "attempts": self.attempts, "failures": self.failures,
            "requests": self.attempts if self.requests is None else self.requests,
            "unpriced_attempts": self.attempts if self.unpriced else 0,
            "finished_attempts": n, "costed_attempts": costed, "cost": cost,
            "cost_squared": costed and cost**2 / costed * math.exp(self.spread**2),
            "cost_usd": exact, "day_cost_usd": exact if is_new else Decimal(0),
        }  # fmt: skip

    def _spread(self, kind: str, n: int) -> dict[str, float]:
        median, tail, steps, longer = {
            "input": (self.input_median, self.input_tail, INPUT_STEPS, lambda x: 10 * x),
            "output": (self.output_median, self.output_tail, OUTPUT_STEPS, lambda x: x + 4_000),
        }[kind]
        bins = [NormalDist().inv_cdf((i + 0.5) / 1_000) for i in range(1_000)]
        usual = [median * math.exp(self.spread * z) for z in bins]
        parts = [(one, 1 - tail) for one in usual] + [(longer(one), tail) for one in usual]
        each = n / 1_000

        def add(value: Any) -> float:
            return each * sum(weight * value(one) for one, weight in parts if weight)

        return {
            f"finished_{kind}_tokens": round(add(lambda x: x)),
            f"{kind}_squared": add(lambda x: x * x),
            f"{kind}_log": add(math.log),
            f"{kind}_log_squared": add(lambda x: math.log(x) ** 2),
            **{name_step(kind, one): round(add(lambda x, one=one: x > one)) for one in steps},
        }


USUAL = Traffic()


def sides(old: Sequence[Traffic], new: Sequence[Traffic]) -> pl.DataFrame:
    """Return the cells of one pair."""
    cells = [one.to_cell(is_new=False) for one in old] + [one.to_cell(is_new=True) for one in new]
    kinds = {name: kind for name, kind in TOKEN_MOMENTS_HOURLY.schema.items() if name in cells[0]}
    counts = dict.fromkeys(("pair", "attempts", "failures", "requests", "unpriced_attempts"),
                           pl.Int64)  # fmt: skip
    money = dict.fromkeys(("cost_usd", "day_cost_usd"), MONEY)
    return pl.DataFrame(cells, schema_overrides=kinds | counts | money)


def pair(**changes: Any) -> pl.DataFrame:
    """Return the pair v1, v2 of one endpoint, v2 a day old."""
    row = {
        "pair": 0, "environment": "prod", "endpoint_tag": "chat.answer", "prompt_version": "v2",
        "compared_with": "replaced", "baseline_version": "v1", "new_from": DEPLOY_AT,
        "new_to": AS_OF, "baseline_from": DEPLOY_AT - timedelta(days=7), "baseline_to": AS_OF,
    } | changes  # fmt: skip
    return pl.DataFrame([row], schema=PAIRS_SCHEMA)


def judge(
    cells: pl.DataFrame, *, limits: DriftLimits = DRIFT_LIMITS, **changes: Any
) -> dict[str, Any]:
    """Return the one row of `prompt_version_drift` that the cells come to."""
    none = pl.DataFrame(schema={"pair": pl.Int64, "is_new": pl.Boolean,
                                "latency_p95_ms": pl.Float64})  # fmt: skip
    rows, _ = compare(pair(**changes), cells, none, now=AS_OF, limits=limits)
    return rows.row(0, named=True)


LONG = replace(USUAL, output_median=230)
"""Answers are 15 % longer."""
GOLDEN: dict[str, tuple[list[Traffic], list[Traffic], str, str | None]] = {
    "nothing moved": ([USUAL], [USUAL], "same", None),
    "answers grew": ([USUAL], [LONG], "regressed", "verbosity"),
    "answers shrank": ([LONG], [USUAL], "improved", None),
    "only the longest answers grew": (
        [USUAL], [replace(USUAL, output_tail=0.02)], "regressed", "verbosity",
    ),
    "the prompt grew": (
        [USUAL], [replace(USUAL, input_median=1_300)], "regressed", "context_creep",
    ),
    "some inputs grew": ([USUAL], [replace(USUAL, input_tail=0.05)], "regressed", "tool_inflation"),
    "every third request is tried twice": (
        [USUAL], [replace(USUAL, requests=3_000)], "regressed", "retry_multiplier",
    ),
    "more attempts fail": (
        [USUAL], [replace(USUAL, failures=200)], "regressed", "retry_multiplier",
    ),
    "the same tenant goes to a dearer model": (
        [replace(USUAL, attempts=3_600), replace(USUAL, attempts=400, model="gpt-5", price=5e-6)],
        [replace(USUAL, attempts=2_400), replace(USUAL, attempts=1_600, model="gpt-5", price=5e-6)],
        "regressed", "routing",
    ),
    "the same tokens cost more": (
        [USUAL], [replace(USUAL, price=1.5e-6)], "regressed", "unit_price",
    ),
    "a tenant with long calls comes more often": (
        [replace(USUAL, attempts=3_600),
         replace(USUAL, attempts=400, tenant="h_b", input_median=5_000, output_median=900)],
        [replace(USUAL, attempts=2_400),
         replace(USUAL, attempts=1_600, tenant="h_b", input_median=5_000, output_median=900)],
        "mix", None,
    ),
    "too few requests": (
        [replace(USUAL, attempts=199)], [replace(LONG, attempts=199)], "not_enough_data", None,
    ),
    "no tenant in common": ([USUAL], [replace(LONG, tenant="h_b")], "not_enough_data", None),
    "too spread to tell": (
        [replace(USUAL, attempts=500)], [replace(USUAL, attempts=500)], "not_enough_data", None,
    ),
}  # fmt: skip
"""Each verdict and each kind of regression: the old side, the new one, and what must be said."""
