"""A comparison as a row of `prompt_version_drift`, and in words for a person."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Any

import polars as pl

from opsmeter_pipeline.drift.measures import (
    COST,
    INPUT_MEAN,
    MEASURES,
    MIX,
    OUTPUT_MEAN,
    RETRIES,
    SHARES,
)
from opsmeter_pipeline.drift.spread import read_p95
from opsmeter_pipeline.drift.verdicts import (
    CREEP,
    IMPROVED,
    KINDS,
    MIXED,
    NOT_ENOUGH,
    REGRESSED,
    RETRY,
    ROUTED,
    SAME,
    TOOLS,
    UNIT,
    VERBOSITY,
)
from opsmeter_pipeline.model.tables import (
    INPUT_STEPS,
    OUTPUT_STEPS,
    PROMPT_VERSION_DRIFT,
    name_step,
)

_DAYS = 30
_DAY_HOURS = 24
_EIGHTEEN = Decimal("1e-18")
_INTERVALS = {"cost_change": COST, "input_change": INPUT_MEAN, "output_change": OUTPUT_MEAN}
CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        CREEP: "Cut what the prompt carries: older turns, few-shot examples, retrieved passages; "
        "or go back to {baseline_version}.",
        TOOLS: "Cap or summarise what tools return before it goes into the next call; or go back "
        "to {baseline_version}.",
        VERBOSITY: "Ask for shorter answers and set a limit of output tokens; or go back to "
        "{baseline_version}.",
        RETRY: "See why attempts fail, bound retries and back off; or go back to "
        "{baseline_version}.",
        ROUTED: "Route back to the models that answered before, or show that the dearer ones are "
        "worth it.",
        UNIT: "See whether the prompt's start still hits the cache, the tier is the same, and "
        "`opsmeter prices` moved; or go back to {baseline_version}.",
    }
)
"""What to do about each kind of regression."""
_ENDINGS: Mapping[str, str] = MappingProxyType(
    {
        SAME: "nothing moved by more than can be excluded",
        MIXED: "other tenants call; the same tenants cost what they did",
        NOT_ENOUGH: "too few requests to tell",
        IMPROVED: "it costs or sends less",
    }
)


def sum_sides(cells: pl.DataFrame) -> pl.DataFrame:
    """Return one row per pair and side: plain totals, in no way adjusted."""
    # A pair's totals are of all its cells, also of tenants and models that only one side has.
    return cells.group_by("pair", "is_new").agg(pl.col(pl.Int64, pl.Decimal).sum())


def find_shifts(cells: pl.DataFrame) -> pl.DataFrame:
    """Return per pair how far its mixes moved: half the sum of all differences of shares."""
    shifts: list[pl.DataFrame] = []
    for name, keys in (("tenant_shift", ["tenant_id"]), ("model_shift", ["provider", "model"])):
        counts = cells.group_by("pair", *keys).agg(
            *(pl.col("attempts").filter(is_new=side).sum().alias(str(side)) for side in (0, 1))
        )
        shares = counts.with_columns(pl.col("0", "1") / pl.col("0", "1").sum().over("pair"))
        shifts.append(
            shares.group_by("pair").agg((0.5 * (pl.col("1") - pl.col("0")).abs().sum()).alias(name))
        )
    return shifts[0].join(shifts[1], on="pair").with_columns(pl.col("^.*_shift$").fill_nan(None))


def build_rows(
    pairs: pl.DataFrame,
    cells: pl.DataFrame,
    latencies: pl.DataFrame,
    tested: pl.DataFrame,
    judged: pl.DataFrame,
    *,
    now: datetime,
) -> pl.DataFrame:
    """Return rows of `prompt_version_drift`, the costliest regression first.

    Args:
        pairs: what is compared, see `plan_pairs`.
        cells: sums of both sides.
        latencies: `latency_p95_ms` by `pair` and `is_new`.
        tested: what each measure came to.
        judged: each pair's verdict.
        now: when this is computed (UTC).
    """
    sides = sum_sides(cells).join(latencies, on=["pair", "is_new"], how="left")
    by_side = {(row["pair"], row["is_new"]): row for row in sides.iter_rows(named=True)}
    measures: dict[int, dict[str, dict[str, Any]]] = {}
    for row in tested.iter_rows(named=True):
        measures.setdefault(row["pair"], {})[row["measure"]] = row
    shifts = {row["pair"]: row for row in find_shifts(cells).iter_rows(named=True)}
    rows = [
        _build_row(
            pair,
            (by_side.get((pair["pair"], True), {}), by_side.get((pair["pair"], False), {})),
            measures.get(pair["pair"], {}),
            shifts.get(pair["pair"], {}),
            now=now,
        )
        for pair in pairs.join(judged, on="pair").iter_rows(named=True)
    ]
    frame = pl.DataFrame(rows, schema=PROMPT_VERSION_DRIFT.schema)
    return frame.sort(
        pl.col("verdict") != REGRESSED, "monthly_usd", "environment", "endpoint_tag",
        "prompt_version", descending=[False, True, False, False, False], nulls_last=True,
    )  # fmt: skip


def describe_change(row: Mapping[str, Any]) -> str:
    """Return a row's change of its loudest measure and of cost, in words."""
    told = _tell_change(row["measure"], row, "change")
    cost = _tell_change(COST, row, "cost_change") if row["measure"] != COST else ""
    return "; ".join(part for part in (told, cost) if part)


def _build_row(
    pair: Mapping[str, Any],
    sides: tuple[Mapping[str, Any], Mapping[str, Any]],
    measures: Mapping[str, Mapping[str, Any]],
    shifts: Mapping[str, Any],
    *,
    now: datetime,
) -> dict[str, Any]:
    new, baseline = sides
    has_baseline = pair["baseline_version"] is not None
    row: dict[str, Any] = {
        "computed_at": now,
        "as_of_at": pair["new_to"],
        **{name: pair[name] for name in ("environment", "endpoint_tag", "prompt_version",
                                         "compared_with", "baseline_version", "verdict",
                                         "regression_type", "measure")},
        "since_at": pair["new_from"],
        "baseline_since_at": pair["baseline_from"] if has_baseline else None,
        "requests": new.get("requests", 0),
        "baseline_requests": baseline.get("requests", 0),
        "moved": ", ".join(
            name for name, one in measures.items() if one["is_confident"] and one["is_material"]
        ),
        **_interval("change", measures.get(pair["measure"] or "")),
        "confidence": _confide(measures.get(pair["measure"] or ""), len(measures)),
        "mix_change": measures.get(MIX, {}).get("change"),
        "tenant_shift": shifts.get("tenant_shift") if has_baseline else None,
        "model_shift": shifts.get("model_shift") if has_baseline else None,
        **_show_sides(new, ""),
        **_show_sides(baseline, "baseline_"),
        "priced_share": _share(
            sum(one.get("attempts", 0) - one.get("unpriced_attempts", 0) for one in sides),
            sum(one.get("attempts", 0) for one in sides),
        ),
        **_estimate_month(pair, new, measures.get(COST)),
    }  # fmt: skip
    for name, measure in _INTERVALS.items():
        row |= _interval(name, measures.get(measure))
    return row | _advise(row, is_hidden=pair["is_hidden"])


def _interval(name: str, one: Mapping[str, Any] | None) -> dict[str, float | None]:
    ends = {name: "change", f"{name}_low": "change_low", f"{name}_high": "change_high"}
    return {column: one[end] if one else None for column, end in ends.items()}


def _confide(one: Mapping[str, Any] | None, measures: int) -> float | None:
    """Return 1 less the chance, over all looks and all of the pair's measures, or None."""
    if one is None:
        return None
    return max(0.0, 1 - measures * math.exp(-max(float(one["log_evidence"]), 0.0)))


def _show_sides(side: Mapping[str, Any], prefix: str) -> dict[str, float | None]:
    attempts, requests = side.get("attempts", 0), side.get("requests", 0)
    finished = side.get("finished_attempts", 0)
    p95s = {
        kind: read_p95(steps, [side[name_step(kind, one)] for one in steps], count=finished)
        if finished
        else None
        for kind, steps in (("input", INPUT_STEPS), ("output", OUTPUT_STEPS))
    }
    shown = {
        "cost_per_request_usd": _cost_request(side),
        "input_p95_tokens": p95s["input"],
        "output_p95_tokens": p95s["output"],
        "latency_p95_ms": side.get("latency_p95_ms"),
        "failure_share": _share(side.get("failures", 0), attempts),
        "attempts_per_request": _share(attempts, requests),
        "attempts_per_success": _share(attempts, attempts - side.get("failures", 0)),
    }
    return {f"{prefix}{name}": value for name, value in shown.items()}


def _cost_request(side: Mapping[str, Any]) -> float | None:
    """Return what an attempt with a price costs, times attempts per request; null without any."""
    priced = side.get("attempts", 0) - side.get("unpriced_attempts", 0)
    each = _share(float(side.get("cost_usd", 0)), priced)
    times = _share(side["attempts"], side["requests"]) if side else None
    return None if each is None or times is None else each * times


def _share(part: float, of: float) -> float | None:
    return part / of if of else None


def _estimate_month(
    pair: Mapping[str, Any], new: Mapping[str, Any], cost: Mapping[str, Any] | None
) -> dict[str, Decimal | None]:
    """Return what the change of cost comes to in 30 days at the last day's exact cost.

    The share is an estimate, so a float; it becomes a decimal once, and only then meets money.
    """
    names = {"monthly_usd": "change", "monthly_low_usd": "change_low",
             "monthly_high_usd": "change_high"}  # fmt: skip
    if cost is None:
        return dict.fromkeys(names)
    length = pair["new_to"] - pair["new_from"]
    hours = max(1, min(_DAY_HOURS, -(-length // timedelta(hours=1))))
    return {
        name: (
            new["day_cost_usd"]
            * Decimal(repr(round(_DAYS * _DAY_HOURS / hours * cost[end] / (1 + cost[end]), 9)))
        ).quantize(_EIGHTEEN, ROUND_HALF_EVEN)
        for name, end in names.items()
    }


def _advise(row: Mapping[str, Any], *, is_hidden: bool) -> dict[str, str | None]:
    kind = row["regression_type"]
    meaning = KINDS[kind] if kind else _ENDINGS[row["verdict"]]
    told = describe_change(row)
    if row["baseline_version"] is None and row["verdict"] == NOT_ENOUGH:
        meaning = "there is nothing to compare it with"
    elif is_hidden and row["verdict"] == NOT_ENOUGH:
        meaning = "more of its attempts than before have no price; see unpriced_models"
    driver = f"{kind or row['verdict']}: {meaning}{f' ({told})' if told else ''}"
    if kind is None:
        return {"driver": driver, "control": None, "verify_sql": None}
    control = CONTROLS[kind].format(baseline_version=row["baseline_version"])
    return {"driver": driver, "control": control, "verify_sql": _write_query(row)}


def _write_query(row: Mapping[str, Any]) -> str:
    names = ("endpoint_tag", "environment")
    where = " AND ".join(f"{name} = {_quote(row[name])}" for name in names)
    since = row["since_at"].strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        "SELECT date_trunc('day', hour_at) AS day_at, prompt_version, "
        "sum(requests)::BIGINT AS requests, "
        "round(sum(input_tokens) / sum(attempts), 1) AS input_tokens_per_attempt, "
        "round(sum(output_tokens) / sum(attempts), 1) AS output_tokens_per_attempt, "
        "sum(cost_usd)::DECIMAL(38,18) AS cost_usd FROM attribution_hourly "
        f"WHERE {where} AND data_mode = 'real' AND hour_at >= TIMESTAMPTZ '{since}' - "
        "INTERVAL 7 DAY GROUP BY ALL ORDER BY ALL"
    )


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _tell_change(measure: str | None, row: Mapping[str, Any], name: str) -> str:
    if measure is None or row[name] is None:
        return ""
    what = MEASURES[measure] if measure != MIX else "cost by which tenants called"
    unit = " points" if measure in SHARES else " %"
    change, low, high = (100 * row[f"{name}{end}"] for end in ("", "_low", "_high"))
    digits = 2 if measure in SHARES or measure == RETRIES else 1
    return f"{what} {change:+.{digits}f}{unit} ({low:+.{digits}f} to {high:+.{digits}f})"
