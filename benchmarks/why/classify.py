"""How often a cost change gets its right class: two windows of resampled traffic, one cause added.

A pool of requests is made once: seven endpoints, three models, 40 tenants with a heavy head, token
counts that spread over two orders of magnitude, one request in 16 tried twice. Both windows are
drawn from it, so whatever differs between them is chance; then one cause is put into the second
window, and `explain_change` is asked. Run it with `python -m benchmarks.why.classify`.
"""

import argparse
import random
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import polars as pl

from opsmeter_pipeline.drivers import Compared, Comparison, explain_change
from opsmeter_pipeline.model.columns import MONEY
from opsmeter_pipeline.model.tables import COMPARED

WINDOW = Comparison(
    datetime(2026, 11, 9, tzinfo=UTC),
    datetime(2026, 11, 16, tzinfo=UTC),
    datetime(2026, 11, 23, tzinfo=UTC),
)
POOL = 40_000
SIZES = (1_000, 10_000)
NANO_USD = {"large": (2_500, 10_000), "medium": (1_100, 4_400), "small": (150, 600)}
"""What an input and an output token of each model cost, in 10^-9 dollars."""
ENDPOINTS = {
    "support.reply": ("large", 10, 1_500, 300),
    "docs.answer": ("medium", 6, 4_000, 500),
    "agent.plan": ("large", 3, 6_000, 800),
    "checkout.summary": ("small", 12, 900, 200),
    "catalog.describe": ("small", 5, 700, 400),
    "search.rerank": ("small", 11, 2_000, 20),
    "moderation.classify": ("small", 4, 500, 10),
}
"""Each with its model, weight, and median input and output tokens."""
TARGET = "support.reply"
SUMS = [column.name for column in COMPARED]
KEYS = ("endpoint_tag", "prompt_version", "provider", "model", "tenant_id", "user_id", "is_late")
DIMENSIONS = {
    "endpoint_tag": ("", "endpoint_tag"),
    "prompt_version": ("endpoint_tag", "prompt_version"),
    "model": ("provider", "model"),
    "tenant_id": ("", "tenant_id"),
    "user_id": ("tenant_id", "user_id"),
}

Cause = Callable[[pl.DataFrame], pl.DataFrame]
is_target = pl.col("endpoint_tag") == TARGET


class Case(NamedTuple):
    """A cause, and what has to be said of it."""

    spike_class: str
    driver: Mapping[str, str]
    cause: Cause


def main() -> None:
    """Print how often each cause got its class and its driver, by the size of the windows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20261128)
    asked = parser.parse_args()
    pool = make_pool(random.Random(asked.seed))  # noqa: S311 - traffic, not a secret
    for size in SIZES:
        for name, case in CASES.items():
            said: Counter[str] = Counter()
            named = 0
            for trial in range(asked.trials):
                found, driver = ask(pool, case.cause, size=size, seed=asked.seed + 2 * trial)
                said[found] += 1
                named += found == case.spike_class and case.driver.items() <= driver.items()
            right = said[case.spike_class] if case.spike_class else calm(said)
            rest = {one: count for one, count in said.most_common() if one != case.spike_class}
            told = f"class {right:>3}  driver {named:>3}  of {asked.trials}  else {rest}"
            print(f"{size:>6} requests  {name:<24} {told}", flush=True)


def calm(said: Counter[str]) -> int:
    """Return how often no spike was seen where there is none."""
    return said["steady"] + said["decrease"]


def make_pool(source: random.Random) -> pl.DataFrame:
    """Return the requests that windows are drawn from, a row each."""
    tags = source.choices([*ENDPOINTS], [one[1] for one in ENDPOINTS.values()], k=POOL)
    rows: list[tuple[object, ...]] = []
    for tag in tags:
        model, _, given, made = ENDPOINTS[tag]
        tenant = min(int(source.paretovariate(0.9)), 40)
        rows.append((
            tag, "v1", "acme", model, f"t{tenant}", f"u{source.randint(1, 25)}", False,
            int(source.lognormvariate(0, 0.9) * given) + 1,
            int(source.lognormvariate(0, 0.7) * made) + 1,
            2 if source.random() < 1 / 16 else 1,
        ))  # fmt: skip
    names = [*KEYS, "input_each", "output_each", "attempts"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(
        pl.lit(1).alias("price_factor"), pl.lit(1).alias("price_divisor")
    )


def ask(pool: pl.DataFrame, cause: Cause, *, size: int, seed: int) -> tuple[str, Mapping[str, str]]:
    """Return the class, and the driver of the first finding."""
    before, after = (pool.sample(size, with_replacement=True, seed=seed + side) for side in (0, 1))
    why = explain_change(compare(cost(before), cost(cause(after))), WINDOW, limit=10)
    return why.spike_class, why.findings[0][0].driver if why.findings else {}


def cost(requests: pl.DataFrame) -> pl.DataFrame:
    """Return the requests with what a window sums up of them."""
    given, made = (
        pl.col("model").replace_strict(
            {model: rates[place] for model, rates in NANO_USD.items()}, return_dtype=pl.Int64
        )
        for place in (0, 1)
    )
    each = pl.col("input_each") * given + pl.col("output_each") * made
    nano = (each * pl.col("attempts") * pl.col("price_factor")) // pl.col("price_divisor")
    return requests.select(
        *KEYS,
        pl.lit(1, pl.Int64).alias("requests"),
        pl.col("attempts"),
        (pl.col("attempts") - 1).alias("failures"),
        pl.lit(0, pl.Int64).alias("unpriced_attempts"),
        (pl.col("input_each") * pl.col("attempts")).alias("input_tokens"),
        pl.lit(0, pl.Int64).alias("cache_read_tokens"),
        pl.lit(0, pl.Int64).alias("cache_write_tokens"),
        (pl.col("output_each") * pl.col("attempts")).alias("output_tokens"),
        (nano.cast(MONEY) * Decimal("0.000000001")).cast(MONEY).alias("cost_usd"),
    )


def compare(before: pl.DataFrame, after: pl.DataFrame) -> Compared:
    """Return what the warehouse would tell of the two windows."""
    zero = [pl.lit(0).cast(before.schema[name]).alias(name) for name in SUMS]
    sides = [
        before.select(*KEYS, *zero, *(pl.col(name).alias(f"previous_{name}") for name in SUMS)),
        after.select(*KEYS, *SUMS, *(one.name.prefix("previous_") for one in zero)),
    ]
    both = pl.concat([side.select(sides[0].columns) for side in sides])
    sums = [*SUMS, *(f"previous_{name}" for name in SUMS)]
    values = [
        both.select(
            pl.lit(dimension).alias("dimension"),
            (pl.col(within) if within else pl.lit("")).alias("within"),
            pl.col(value).alias("value"),
            *sums,
        )
        for dimension, (within, value) in DIMENSIONS.items()
    ]
    growth = pl.col("cost_usd") - pl.col("previous_cost_usd")
    tenants = sum_up(both, "endpoint_tag", "tenant_id").sort(
        growth, "tenant_id", descending=[True, False]
    )
    return Compared(
        cells=sum_up(both, "endpoint_tag", "provider", "model", "is_late"),
        values=pl.concat(sum_up(one, "dimension", "within", "value") for one in values),
        tenants=tenants.unique("endpoint_tag", keep="first", maintain_order=True),
        prices=PRICES,
        newest_hour_at=datetime(2026, 11, 22, 23, tzinfo=UTC),
    )


def sum_up(frame: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Return the sums of both windows by these keys."""
    return frame.group_by(keys, maintain_order=True).agg(
        pl.col([*SUMS, *(f"previous_{name}" for name in SUMS)]).sum()
    )


PRICES = pl.DataFrame(
    [
        ("acme", model, token_class, Decimal(rate).scaleb(-9))
        for model, rates in NANO_USD.items()
        for token_class, rate in zip(("uncached_input", "output"), rates, strict=True)
    ],
    schema={**dict.fromkeys(("provider", "model", "token_class"), pl.String),
            "price_usd_per_unit": MONEY},
    orient="row",
)  # fmt: skip


def nothing(window: pl.DataFrame) -> pl.DataFrame:
    """Return the window as it was drawn: chance alone."""
    return window


def more_requests(window: pl.DataFrame) -> pl.DataFrame:
    """Return the window with 1.8 times the target's requests, of all tenants alike."""
    more = window.filter(is_target)
    return pl.concat([window, more.sample(fraction=0.8, seed=1)])


def a_burst(window: pl.DataFrame) -> pl.DataFrame:
    """Return the window with 0.8 times the target's requests more, all of one small tenant."""
    more = window.filter(is_target).sample(fraction=0.8, seed=1)
    return pl.concat([window, more.with_columns(pl.lit("t33").alias("tenant_id"))])


def longer_answers(window: pl.DataFrame) -> pl.DataFrame:
    """Return the window with a new prompt version at the target, of 2.2 times the output."""
    made, version = pl.col("output_each"), pl.col("prompt_version")
    return window.with_columns(
        pl.when(is_target).then((made * 22) // 10).otherwise(made).alias("output_each"),
        pl.when(is_target).then(pl.lit("v2")).otherwise(version).alias("prompt_version"),
    )


def a_dearer_model(window: pl.DataFrame) -> pl.DataFrame:
    """Return the window with all of `docs.answer` at the large model."""
    is_moved = pl.col("endpoint_tag") == "docs.answer"
    model = pl.when(is_moved).then(pl.lit("large")).otherwise("model")
    return window.with_columns(model.alias("model"))


def more_attempts(window: pl.DataFrame) -> pl.DataFrame:
    """Return the window with each attempt of the target made twice."""
    tries = pl.when(is_target).then(pl.col("attempts") * 2).otherwise("attempts")
    return window.with_columns(tries.alias("attempts"))


def a_dearer_price(window: pl.DataFrame) -> pl.DataFrame:
    """Return the window with the large model at 1.4 times its price."""
    is_dearer = pl.col("model") == "large"
    return window.with_columns(
        pl.when(is_dearer).then(14).otherwise(1).alias("price_factor"),
        pl.when(is_dearer).then(10).otherwise(1).alias("price_divisor"),
    )


def late_rows(window: pl.DataFrame) -> pl.DataFrame:
    """Return the window with as many late rows as it has requests of the target."""
    late = window.filter(is_target).with_columns(pl.lit(value=True).alias("is_late"))
    return pl.concat([window, late])


_AT_TARGET = {"endpoint_tag": TARGET}
CASES = {
    "nothing but chance": Case("", {}, nothing),
    "more requests": Case("volume", _AT_TARGET, more_requests),
    "one tenant's burst": Case("concentration", _AT_TARGET | {"tenant_id": "t33"}, a_burst),
    "longer answers": Case("efficiency_regression", _AT_TARGET, longer_answers),
    "a dearer model": Case("routing_drift", {"endpoint_tag": "docs.answer"}, a_dearer_model),
    "each attempt twice": Case("retry_storm", _AT_TARGET, more_attempts),
    "a dearer price": Case("price_change", {"model": "large"}, a_dearer_price),
    "late rows": Case("data_artefact", {"model": "large"}, late_rows),
}

if __name__ == "__main__":
    main()
