"""`opsmeter drill`: inject a failure into a scratch home, and report what noticed it."""

import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

from rich.markup import escape

from opsmeter_pipeline.cli.app import err, out, print_json, print_table
from opsmeter_pipeline.cli.up import OWN_PROCESS
from opsmeter_pipeline.drills import DRILLS
from opsmeter_pipeline.drills.ground import can_find_processes
from opsmeter_pipeline.drills.report import Report, judge
from opsmeter_pipeline.drills.run import Asked, run_drill
from opsmeter_pipeline.model.drill_errors import DrillNameError, DrillPlaceError

ALL = "all"


def list_command(*, as_json: bool) -> None:
    """Print the drills there are."""
    rows = [
        {"drill": one.name, "injects": one.title, "must be seen by": ", ".join(one.expected),
         "practises": one.practises}
        for one in DRILLS.values()
    ]  # fmt: skip
    if as_json:
        print_json({"drills": rows})
        return
    print_table(rows)


def drill_command(
    names: Sequence[str], *, timeout_seconds: float, keep: bool, as_json: bool
) -> None:
    """Run drills one after the other; exit 1 if one was not detected, told or made good.

    Raises:
        DrillNameError: there is no such drill.
        DrillPlaceError: this system does not tell which processes a home has.
    """
    chosen = _choose(names)
    if not can_find_processes():
        raise DrillPlaceError
    # A supervisor that stops us stops our processes too; started in the background by a script, we
    # would inherit an ignored interrupt.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    reports: list[Report] = []
    for name in chosen:
        asked = Asked(OWN_PROCESS, timeout_seconds, keep, partial(_narrate, name))
        reports.append(run_drill(DRILLS[name], asked))
        if not as_json:
            _print(reports[-1])
    if as_json:
        passed = not any(map(judge, reports))
        print_json({"passed": passed, "drills": [_tell(one) for one in reports]})
    elif len(reports) > 1:
        print_table([_summarise(one) for one in reports], title="drills")
    if any(map(judge, reports)):
        sys.exit(1)


def _choose(names: Sequence[str]) -> list[str]:
    unknown = [name for name in names if name not in {*DRILLS, ALL}]
    if unknown or not names:
        raise DrillNameError(unknown, [*DRILLS])
    return [*DRILLS] if ALL in names else [*dict.fromkeys(names)]


def _narrate(name: str, text: str) -> None:
    err.print(escape(f"{name}: {text}"), soft_wrap=True)


def _tell(report: Report) -> dict[str, object]:
    """Return a report as JSON has it."""
    problems = judge(report)
    seen = [asdict(one) | {"after_seconds": report.after(one.at)} for one in report.sightings]
    told = [asdict(one) | {"after_seconds": report.after(one.first_at)} for one in report.told]
    counts = report.counts
    return {
        **asdict(report),
        "sightings": seen,
        "told": told,
        "detected": report.detected,
        "recovered_after_seconds": report.after(report.recovered_at),
        "counts": counts and asdict(counts) | {"lost": counts.lost, "doubled": counts.doubled},
        "passed": not problems,
        "problems": problems,
    }


def _print(report: Report) -> None:
    problems = judge(report)
    facts: Mapping[str, object] = {
        "injected": f"{report.injected}, at {report.injected_at:%H:%M:%S} UTC"
        if report.injected_at
        else "nothing",
        "detected": "; ".join(
            f"{one.kind} {one.name} after {report.after(one.at)} s" for one in report.sightings
        )
        or "by nothing",
        "alert sent": "; ".join(
            f"{one.rule} told {one.opened} times, first after {report.after(one.first_at)} s, its "
            f"end {one.resolved} times"
            for one in report.told
        )
        or "none",
        "mended": report.mended or "nothing was done",
        "recovered": f"after {report.after(report.recovered_at)} s"
        if report.recovered_at
        else "no",
        "lines": _describe_counts(report),
        **report.figures,
        "settings": ", ".join(f"{name} = {value}" for name, value in report.settings.items()),
        "took": f"{report.seconds} s",
        **({"kept": report.home} if report.home else {}),
    }
    verdict = "[red]failed[/]" if problems else "[green]passed[/]"
    out.print(f"{verdict} {report.drill}: {escape(report.title)}", soft_wrap=True)
    for name, text in facts.items():
        out.print(escape(f"  {name.replace('_', ' '):<10} {text}"), soft_wrap=True)
    for problem in problems:
        out.print(f"  [red]{escape(problem)}[/]", soft_wrap=True)
    for one in report.incidents:
        out.print(escape(f"  timeline of {one.incident_id} ({one.rule})"))
        for entry in one.entries:
            out.print(escape(f"    {entry['happened_at']:%H:%M:%S} {entry['kind']}"))


def _describe_counts(report: Report) -> str:
    counts = report.counts
    if counts is None:
        return "not counted"
    return (
        f"{counts.written:,} written = {counts.accepted:,} events + {counts.duplicates:,} "
        f"duplicates + {counts.quarantined:,} quarantined + {counts.blank:,} blank; "
        f"{counts.lost} lost, {counts.doubled} counted twice"
    )


def _summarise(report: Report) -> dict[str, object]:
    first = next(iter(report.sightings), None)
    return {
        "drill": report.drill,
        "passed": "no" if judge(report) else "yes",
        "detected by": ", ".join(one.name for one in report.sightings) or "nothing",
        "after_seconds": report.after(first.at) if first else None,
        "told_after_seconds": min(
            (at for one in report.told if (at := report.after(one.first_at)) is not None),
            default=None,
        ),
        "recovered_after_seconds": report.after(report.recovered_at),
        "lost": report.counts.lost if report.counts else None,
    }
