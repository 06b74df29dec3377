"""What a comparison came to in words for a person, and as rows of `cost_drivers`."""

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import chain

import polars as pl

from opsmeter_pipeline.drivers import Why
from opsmeter_pipeline.drivers.classify import (
    ARTEFACT,
    CONCENTRATION,
    DECREASE,
    NO_DATA,
    PRICE,
    REGRESSION,
    RETRIES,
    ROUTING,
    STEADY,
    UNKNOWN,
    VOLUME,
    Finding,
)
from opsmeter_pipeline.drivers.dimensions import Change
from opsmeter_pipeline.drivers.evidence import Evidence
from opsmeter_pipeline.drivers.factors import MEASURES, Pair, to_money
from opsmeter_pipeline.model.tables import COST_DRIVERS, FACTORS

MEANINGS: Mapping[str, str] = {
    VOLUME: "more requests",
    REGRESSION: "more tokens per attempt",
    ROUTING: "attempts went to a dearer model",
    RETRIES: "more attempts per request",
    CONCENTRATION: "one consumer made most of the growth, in a burst",
    PRICE: "the same tokens cost more",
    ARTEFACT: "late data, or a price that was found: known cost moved, not use",
    STEADY: "no spike",
    DECREASE: "it cost less",
    UNKNOWN: "no attempt has a price",
    NO_DATA: "no attempts in either window",
}
"""What each class means."""
_SIX_DIGITS = Context(prec=6, rounding=ROUND_HALF_EVEN)
_HIDDEN = ("token_class", "previous_prompt_version", "previous_model")


def describe_finding(finding: Finding) -> str:
    """Return a finding in one line: who, what, and the first number behind it."""
    who = ", ".join(f"{n} {v}" for n, v in finding.driver.items() if n not in _HIDDEN)
    told = "; ".join(map(describe_evidence, finding.evidence))
    return f"{finding.spike_class}: {who}: {MEANINGS[finding.spike_class]} ({told})"


def describe_evidence(one: Evidence) -> str:
    """Return a number before and after.

    >>> describe_evidence(Evidence("requests", 5, 60))
    'requests 5 -> 60'
    """
    before, after = (_to_text(value) for value in (one.before, one.after))
    return f"{one.name} {before} -> {after}"


def build_rows(why: Why, *, now: datetime) -> pl.DataFrame:
    """Return the rows of `cost_drivers` of one comparison, the whole change first."""
    windows = {
        "computed_at": now,
        "previous_start_at": why.comparison.previous_start_at,
        "window_start_at": why.comparison.start_at,
        "window_end_at": why.comparison.end_at,
        "environment": why.comparison.environment,
        "data_mode": why.comparison.data_mode,
        "spike_class": why.spike_class,
    }
    rows = [windows | _to_row(one) for one in chain([why.total], *why.by.values())]
    if why.findings:
        finding, control = why.findings[0]
        rows[0] |= {"driver": describe_finding(finding), **control._asdict()}
        rows[0]["control"] = rows[0].pop("text")
    return pl.DataFrame(rows, schema=COST_DRIVERS.schema)


def show_pair(pair: Pair) -> dict[str, int | Decimal]:
    """Return both windows' measures by the names the table has."""
    names = ((f"{prefix}{name}", side, name) for prefix, side in
             zip(("previous_", ""), pair, strict=True) for name in MEASURES)  # fmt: skip
    shown = {shown: getattr(side, name) for shown, side, name in names}
    return {n: to_money(v) if isinstance(v, Decimal) else v for n, v in shown.items()}


def show_factors(one: Change) -> dict[str, Decimal | None]:
    """Return a change's parts by factor, each None where it is not split."""
    return {n: to_money(one.factors[n]) if one.factors is not None else None for n in FACTORS}


def _to_row(one: Change) -> dict[str, object]:
    return {
        "dimension": one.dimension,
        "within": one.within,
        "value": one.value,
        "change_usd": to_money(one.pair.change_usd),
        **{f"{name}_usd": part for name, part in show_factors(one).items()},
        **show_pair(one.pair),
        **dict.fromkeys(("driver", "control", "verify_sql")),
    }


def _to_text(value: Decimal | int | None) -> str:
    """Return a number with six digits that count, a whole one with all of its own."""
    if value is None:
        return "none"
    if isinstance(value, int):
        return str(value)
    text = f"{_SIX_DIGITS.plus(value):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
