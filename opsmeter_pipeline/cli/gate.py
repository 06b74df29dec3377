"""`opsmeter gate`: whether a release may go on; 0 open, 1 closed, 2 wrong usage."""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError
from rich.markup import escape

from opsmeter_pipeline.cli.app import out, print_json
from opsmeter_pipeline.cli.junit import write_junit
from opsmeter_pipeline.gate import Reason, is_open, show_length, waive
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import GateReasonError, LengthError, OutputError
from opsmeter_pipeline.model.lengths import parse_length
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.orchestration.gate import (
    PROMPT_READERS,
    READERS,
    Question,
    ask_gate,
    choose_slo,
)
from opsmeter_pipeline.settings import load_settings, read_claim

_LONGEST_WINDOW = timedelta(days=366)
_COLOURS = {"open": "green", "closed": "red", "unknown": "yellow"}
_STANDARD_OUTPUT = "-"


@dataclass(frozen=True)
class Asked:
    """What a person or a CI job asks.

    Attributes:
        environment: whose release.
        p95: within how long 95 % of events must be visible; None is as the settings promise.
        window: how far back is looked.
        waived: names of reasons that do not count this time.
        junit: file for JUnit XML, `-` for standard output; None for none.
        about_prompts: whether a prompt version that regressed keeps the release back.
    """

    environment: str
    p95: str | None
    window: str
    waived: Sequence[str]
    junit: str | None
    about_prompts: bool = False


def gate_command(asked: Asked, *, home: Path | None, landing: str | None, as_json: bool) -> None:
    """Print each reason and whether the gate is open; exit 1 if it is closed.

    Raises:
        UsageError: a length, reason or file cannot be used.
    """
    _require_known(asked, as_json=as_json)
    window, now = read_length("--window", asked.window), utc_now()
    if window > _LONGEST_WINDOW:
        raise LengthError("--window", asked.window, "it is longer than a year")
    settings = read_claim(load_settings(home=home, landing=landing))
    slo = _read_slo(asked, settings.slo)
    settings = settings.model_copy(update={"slo": slo})
    question = Question(settings, asked.environment, window, now, about_prompts=asked.about_prompts)
    found = ask_gate(question)
    told = {name for one in found for name in one.names}
    for name in asked.waived:
        if " " in name and name not in told:
            raise GateReasonError(name, sorted({one.name for one in found}))
    reasons = waive(found, asked.waived)
    if asked.junit is not None:
        _save(asked.junit, write_junit(reasons, environment=asked.environment, now=now))
    if as_json:
        print_json(_tell(reasons, asked, window=window, now=now))
    elif asked.junit != _STANDARD_OUTPUT:
        _print(reasons, asked)
    if not is_open(reasons):
        sys.exit(1)


def read_length(option: str, text: str) -> timedelta:
    """Return the length that an option was given.

    Raises:
        LengthError: it is none.
    """
    length = parse_length(text)
    if length is None:
        raise LengthError(option, text, "it is no length of time")
    return length


def _read_slo(asked: Asked, slo: Slo) -> Slo:
    if asked.p95 is None:
        return slo
    seconds = int(read_length("--p95", asked.p95).total_seconds())
    try:
        return choose_slo(slo, environment=asked.environment, limit_seconds=seconds)
    except ValidationError as exc:
        why = exc.errors()[0]["msg"].removeprefix("Value error, ")
        raise LengthError("--p95", asked.p95, why) from exc


def _require_known(asked: Asked, *, as_json: bool) -> None:
    known = [*READERS, *PROMPT_READERS]
    for name in asked.waived:
        if name.split(" ")[0] not in known:
            raise GateReasonError(name, known)
    if as_json and asked.junit == _STANDARD_OUTPUT:
        raise OutputError("--junit", _STANDARD_OUTPUT, "--json is on standard output; name a file")


def _save(target: str, document: str) -> None:
    if target == _STANDARD_OUTPUT:
        sys.stdout.write(document)
        return
    try:
        Path(target).write_text(document, encoding="utf-8")
    except OSError as exc:
        raise OutputError("--junit", target, exc.strerror or str(exc)) from exc


def _tell(
    reasons: Sequence[Reason], asked: Asked, *, window: timedelta, now: datetime
) -> dict[str, object]:
    return {
        "open": is_open(reasons),
        "environment": asked.environment,
        "window_seconds": int(window.total_seconds()),
        "decided_at": now,
        "reasons": [asdict(one) | {"state": one.state.value} for one in reasons],
    }


def _print(reasons: Sequence[Reason], asked: Asked) -> None:
    width, told = max(len(one.name) for one in reasons), set[str]()
    for one in reasons:
        state = f"[{_COLOURS[one.state.value]}]{one.state.value:8}[/]"
        waived = " (waived)" if one.is_waived else ""
        found = "(as above)" if one.found in told and not one.passes else escape(one.found)
        out.print(f"{state} {one.name:{width}}  {found}{waived}", soft_wrap=True)
        if not one.passes and one.found not in told:
            out.print(escape(f"{'':9}must be: {one.limit}"), soft_wrap=True)
            out.print(escape(f"{'':9}next: {one.next_step}"), soft_wrap=True)
        told.add(one.found)
    kept = sum(not one.passes for one in reasons)
    about = f"{asked.environment}, last {show_length(read_length('--window', asked.window))}"
    if kept:
        out.print(f"[red]closed[/]: {kept} of {len(reasons)} reasons keep it closed ({about})")
    else:
        waived = sum(one.is_waived for one in reasons)
        out.print(
            f"[green]open[/]: {len(reasons) - waived} reasons hold, {waived} waived ({about})"
        )
