"""`opsmeter compare`: two prompt versions of an endpoint, side by side, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl
from rich.markup import escape

from opsmeter_pipeline.cli.app import err, out, print_json, print_table, spell_command
from opsmeter_pipeline.drift import compare
from opsmeter_pipeline.drift.alarm import describe_row
from opsmeter_pipeline.drift.chart import draw_intervals
from opsmeter_pipeline.drift.measures import MEASURES, SHARES
from opsmeter_pipeline.drift.plan import pair_versions
from opsmeter_pipeline.drift.window import plan_window
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.drift_errors import (
    SameVersionError,
    UnknownEndpointError,
    UnknownVersionError,
)
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.drift import read_sides, read_versions
from opsmeter_pipeline.storage.lake import Lake

_MINUTES = "%Y-%m-%d %H:%M"
_NEAR = 5
_COLOURS = {"regressed": "red", "improved": "green", "same": "green"}
_BOTH = ("requests", "cost_per_request_usd", "input_p95_tokens", "output_p95_tokens",
         "latency_p95_ms", "failure_share", "attempts_per_request",
         "attempts_per_success")  # fmt: skip
_PRICED_ENOUGH = 0.98


@dataclass(frozen=True)
class Question:
    """What a person asks: which two versions of which endpoint, and when.

    Attributes:
        endpoint: the endpoint.
        baseline: the version that is compared with.
        version: the version in question.
        environment: where both ran.
        start: first instant, RFC 3339; None as `plan_window` says.
        end: first instant after it; likewise.
        window: its length, such as `30d`; likewise.
    """

    endpoint: str
    baseline: str
    version: str
    environment: str
    start: str | None
    end: str | None
    window: str | None


def compare_command(question: Question, *, home: Path | None, as_json: bool) -> None:
    """Print how a version compares with another one; nothing is written.

    Raises:
        UsageError: there is no such endpoint, version, window or warehouse.
    """
    if question.baseline == question.version:
        raise SameVersionError(question.version)
    now = utc_now()
    start, end = plan_window(
        now=now, start=question.start, end=question.end, window=question.window
    )
    lake = Lake(load_settings(home=home).warehouse)
    starts = _find_starts(lake, question, start, end)
    pairs = pair_versions(
        question.environment,
        question.endpoint,
        baseline=question.baseline,
        version=question.version,
        starts=starts,
        end=end,
    )
    with lake.connect(read_only=True, all_cores=True) as con:
        rows, tested = compare(pairs, *read_sides(con, pairs), now=now)
    row = rows.row(0, named=True)
    if as_json:
        print_json({"window": {"from": start, "to": end}, **row, "measures": _tell(tested)})
        return
    _print(row, tested, start=start, end=end)
    if row["verify_sql"]:
        told = f'verify: {spell_command(home)} query "{row["verify_sql"]}"'
        out.print(escape(told), soft_wrap=True)


def _find_starts(
    lake: Lake, question: Question, start: datetime, end: datetime
) -> tuple[datetime, datetime]:
    """Return the first hour of each of both versions in the window."""
    known = read_versions(lake, question.environment, start=start, end=end)
    endpoints = sorted({endpoint for endpoint, *_ in known})
    if question.endpoint not in endpoints:
        near = get_close_matches(question.endpoint, endpoints, n=_NEAR)
        raise UnknownEndpointError(question.endpoint, question.environment, near)
    first = {version: at for endpoint, version, at in known if endpoint == question.endpoint}
    for version in (question.baseline, question.version):
        if version not in first:
            near = get_close_matches(version, first, n=_NEAR) or [*first][:_NEAR]
            window = f"from {start:{_MINUTES}} to {end:{_MINUTES}} UTC"
            raise UnknownVersionError(version, endpoint=question.endpoint, window=window, near=near)

    return first[question.baseline], first[question.version]


def _tell(tested: pl.DataFrame) -> list[dict[str, Any]]:
    shown = ["measure", "change", "change_low", "change_high", "is_confident", "is_material",
             "log_evidence", "baseline_count", "new_count", "above_tokens"]  # fmt: skip
    return tested.select(shown).to_dicts()


def _print(row: dict[str, Any], tested: pl.DataFrame, *, start: datetime, end: datetime) -> None:
    out.print(f"{start:{_MINUTES}} to {end:{_MINUTES}} UTC, {row['environment']}, real traffic")
    colour = _COLOURS.get(row["verdict"], "yellow")
    out.print(f"[bold {colour}]{row['verdict']}[/]: {escape(describe_row(row))}\n",
              soft_wrap=True)  # fmt: skip
    sides = [
        {"": name, "baseline": _show(row[f"baseline_{name}"]), "new": _show(row[name])}
        for name in _BOTH
    ]
    print_table(sides, title=f"as they were: {row['baseline_version']}, {row['prompt_version']}")
    lines = [
        (MEASURES[one["measure"]], one["change"], one["change_low"], one["change_high"])
        for one in sorted(
            tested.iter_rows(named=True), key=lambda one: [*MEASURES].index(one["measure"])
        )
        if one["measure"] not in SHARES
    ]
    if lines:
        out.print("adjusted for tenants and models, with what cannot be excluded:")
        out.print(escape(draw_intervals(lines)) + "\n", soft_wrap=True)
    for note in _find_caveats(row, tested):
        err.print(f"[yellow]note:[/yellow] {escape(note)}", soft_wrap=True)
    if row["control"]:
        out.print(escape(f"do: {row['control']}"), soft_wrap=True)


def _find_caveats(row: dict[str, Any], tested: pl.DataFrame) -> Sequence[str]:
    notes: list[str] = []
    if tested.is_empty():
        notes.append(
            "No measure could be tested: both versions need 200 finished attempts of the same "
            "tenants and models."
        )
    if row["priced_share"] is not None and row["priced_share"] < _PRICED_ENOUGH:
        share = f"{100 * (1 - row['priced_share']):.1f} %"
        notes.append(f"{share} of the attempts have no price; no cost here holds them.")
    return notes


def _show(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}" if isinstance(value, float) else f"{value:,}"
