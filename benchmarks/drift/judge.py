"""How often drift is found where there is some, and where there is none: the product and a rival.

Asks hour by hour for a day, as the job does, over many endpoints at once. The rival compares two
averages at the same hours and warns when they differ by 15 %. Prints two Markdown tables.
"""

import argparse
import datetime as dt
import os
import time
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from benchmarks.drift.traffic import (
    CHANGES,
    DEPLOY_AT,
    LOOKS,
    NEW,
    TRACES,
    Shape,
    Source,
    draw_events,
    read_trace,
)
from opsmeter_pipeline.cube import sum_events
from opsmeter_pipeline.drift.limits import DRIFT_LIMITS
from opsmeter_pipeline.drift.verdicts import (
    IMPROVED,
    MIXED,
    REGRESSED,
    find_hidden,
    judge_pairs,
    weigh_pairs,
)
from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY, TOKEN_MOMENTS_HOURLY

DATA: Final = "OPSMETER_TRACES"
"""Variable that names the folder of the public traces."""
_KEYS: Final = ("hour_at", "endpoint_tag", "prompt_version", "tenant_id", "provider", "model")
_WARN_AT: Final = 1.15
_LEAST: Final = 200
"""The rival does not warn below so many requests either."""
_PER_DRAW: Final = 125


class Told(NamedTuple):
    """Shares of endpoint-days, 0 to 1.

    Attributes:
        endpoints: how many there were.
        regressed: a regression was told at some hour.
        improved: an improvement was told at some hour.
        mixed: at the last hour it is mix, and no regression was told at any hour.
        early: a regression was told by 1,000 requests.
        naive: the rival warned at some hour.
        naive_last: the rival warned at the last hour.
    """

    endpoints: int
    regressed: float
    improved: float
    mixed: float
    early: float
    naive: float
    naive_last: float


def judge_change(
    source: Source, name: str, *, endpoints: int, seed: int, pool_tenants: bool = False
) -> Told:
    """Return what was told of a change, over so many endpoints and each hour of a day.

    With `pool_tenants` the cube does not know who called.
    """
    draws = -(-endpoints // _PER_DRAW)
    each = min(_PER_DRAW, endpoints)
    told = [
        _judge_draw(source, name, endpoints=each, seed=seed + draw, pool_tenants=pool_tenants)
        for draw in range(draws)
    ]
    found = pl.concat(one.with_columns(draw=pl.lit(n)) for n, one in enumerate(told))
    by_day = found.group_by("draw", "pair").agg(
        regressed=(pl.col("verdict") == REGRESSED).any(),
        improved=(pl.col("verdict") == IMPROVED).any(),
        mixed=(pl.col("verdict") == MIXED).last() & (pl.col("verdict") != REGRESSED).all(),
        early=((pl.col("verdict") == REGRESSED) & (pl.col("requests") <= 1_000)).any(),
        naive=pl.col("naive").any(),
        naive_last=pl.col("naive").last(),
    )
    return Told(by_day.height, *(by_day[one].mean() for one in Told._fields[1:]))  # pyright: ignore[reportArgumentType] - means of flags


def _judge_draw(
    source: Source, name: str, *, endpoints: int, seed: int, pool_tenants: bool
) -> pl.DataFrame:
    """Return each endpoint's verdict and the rival's at each hour."""
    events = draw_events(source, CHANGES[name], endpoints=endpoints, seed=seed)
    sums = sum_events(events, events.clear())
    counts = sums[ATTRIBUTION_HOURLY.name].select(
        *_KEYS, "requests", "attempts", "failures", "output_tokens", "unpriced_attempts"
    )
    moments = sums[TOKEN_MOMENTS_HOURLY.name].drop("batch_id", "environment", "data_mode")
    hours = counts.join(moments, on=_KEYS, how="left").fill_null(0).with_columns(
        pair=pl.col("endpoint_tag").rank("dense").cast(pl.Int64),
        is_new=pl.col("prompt_version") == NEW,
    )  # fmt: skip
    if pool_tenants:
        hours = hours.with_columns(tenant_id=pl.lit("all"))
    pairs = hours["pair"].unique().sort()
    looks: list[pl.DataFrame] = []
    for hour in range(LOOKS):
        until = DEPLOY_AT + dt.timedelta(hours=hour)
        cells = (
            hours.filter(pl.col("hour_at") <= until)
            .group_by("pair", "is_new", "provider", "model", "tenant_id")
            .agg(pl.selectors.numeric().exclude("pair").sum())
        )
        tested, hidden = (ask(cells, DRIFT_LIMITS) for ask in (weigh_pairs, find_hidden))
        judged = judge_pairs(tested, hidden, pairs, DRIFT_LIMITS)
        looks.append(judged.join(_compare_averages(cells), on="pair"))
    return pl.concat(looks)


def _compare_averages(cells: pl.DataFrame) -> pl.DataFrame:
    """Return what a comparison of two averages of output tokens says."""
    sides = cells.group_by("pair").agg(
        pl.col("attempts", "output_tokens").filter("is_new").sum().name.suffix("_new"),
        pl.col("attempts", "output_tokens").filter(~pl.col("is_new")).sum(),
        requests=pl.col("requests").filter("is_new").sum(),
    )
    new = pl.col("output_tokens_new") / pl.col("attempts_new")
    old = pl.col("output_tokens") / pl.col("attempts")
    warns = (new / old >= _WARN_AT) & (pl.col("requests") >= _LEAST)
    return sides.select("pair", "requests", naive=warns.fill_null(value=False))


def main() -> None:
    """Judges each change on each trace and prints what the product and the rival told."""
    parser = argparse.ArgumentParser(prog="benchmarks.drift.judge", description=main.__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get(DATA),
                        help=f"Folder of the public traces; else {DATA}.")  # fmt: skip
    parser.add_argument("--endpoints", type=int, default=500, help="For each change and trace.")
    parser.add_argument("--traces", default=",".join(TRACES))
    parser.add_argument("--changes", default=",".join(CHANGES))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--pool-tenants", action="store_true",
                        help="As if the cube did not know who called.")  # fmt: skip
    args = parser.parse_args()
    if args.data is None:
        parser.error(f"name the folder of the public traces with --data or {DATA}")
    shape, before = Shape(), time.process_time()
    print(
        f"{args.endpoints} endpoint-days each, {shape.requests} requests per version, {LOOKS} "
        f"looks, {shape.tenants} tenants, {len(shape.models)} models, seed {args.seed}, polars "
        f"{pl.__version__}\n"
    )
    print("| trace | change | regressed | by 1,000 | improved | mix | naive | naive at the "
          "end |\n|---|---|---:|---:|---:|---:|---:|---:|")  # fmt: skip
    for trace in args.traces.split(","):
        source = Source(read_trace(args.data, trace), shape)
        for name in args.changes.split(","):
            told = judge_change(
                source,
                name,
                endpoints=args.endpoints,
                seed=args.seed,
                pool_tenants=args.pool_tenants,
            )
            shares = (told.regressed, told.early, told.improved, told.mixed, told.naive,
                      told.naive_last)  # fmt: skip
            cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
            print(f"| {trace} | {name} | {cells} |", flush=True)
    print(f"\n{time.process_time() - before:.0f} s CPU")


if __name__ == "__main__":
    main()
