"""`opsmeter replay`: quarantined lines again through today's contract, from their own files.

One run of the job per ingest day, each replaying the batches that hold such lines, whole. What a
run may take of them is decided in `storage.plan`; what moved is in `moved_lines`.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import typer
from rich.markup import escape

from opsmeter_pipeline.cli.app import err, out, print_json, print_table
from opsmeter_pipeline.cli.choice import require_known
from opsmeter_pipeline.cli.ingest import open_home, run_job, sum_taken
from opsmeter_pipeline.orchestration.instance import open_instance
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME, take_batches
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.settings import Settings, load_settings, read_claim
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.plan import read_slices_of_batches
from opsmeter_pipeline.storage.proof import find_unprovable
from opsmeter_pipeline.storage.quarantined import (
    Choice,
    count_moved,
    count_quarantined,
    find_batches,
    read_left,
)

Batches = Mapping[date, Sequence[str]]
_NOTHING = "Nothing to replay: no such line is in quarantine."


class RuleChange(NamedTuple):
    """What a replay did to the lines one rule holds, in the replayed batches."""

    rule: str
    quarantined_before: int
    quarantined_after: int
    moved: int


class Replay(NamedTuple):
    """What a replay did.

    Attributes:
        rules: each rule that held or holds lines of the chosen batches.
        ledger: sums over the batches that were replayed.
        findings: files that kept their batches from being replayed.
    """

    rules: list[RuleChange]
    ledger: dict[str, int | Decimal]
    findings: list[dict[str, str]]

    @property
    def moved(self) -> int:
        """How many lines moved from quarantine to events."""
        return sum(rule.moved for rule in self.rules)


def replay_command(
    choice: Choice, *, home: Path | None, landing: str | None, as_json: bool
) -> None:
    """Replay the batches that hold such lines, and print what each rule held before and after.

    Raises:
        UsageError: there is no such rule or file, no warehouse or no landing.
        RunFailedError: a run failed; what earlier runs replayed stays.
        typer.Exit: with 1 if a batch could not be replayed because of its files.
    """
    settings = read_claim(load_settings(home=home, landing=landing))
    lake = Lake(settings.warehouse)
    require_known(lake, choice)
    opened, batches = open_home(settings), find_batches(lake, choice)
    opened.landing_files().list_files()
    before = count_quarantined(opened.lake, _all(batches))
    run_ids = _replay(settings, opened, batches) if batches else []
    replay = Replay(
        rules=_compare(opened, batches, before=before, run_ids=run_ids),
        ledger=sum_taken(opened, run_ids),
        findings=_explain_left(opened, batches, run_ids),
    )
    if as_json:
        rules = [one._asdict() for one in replay.rules]
        print_json({"moved": replay.moved, **replay._asdict(), "rules": rules})
    else:
        _print_replay(replay)
    if replay.findings:
        raise typer.Exit(1)


def _print_replay(replay: Replay) -> None:
    if not replay.rules:
        err.print(_NOTHING)
        return
    rules = [one._asdict() for one in replay.rules]
    print_table(rules, title="quarantined lines of the replayed batches, by rule")
    shown = replay.ledger | {"cost_usd": f"{replay.ledger['cost_usd']:.4f}"}
    print_table([shown], title="ledger of the replayed batches")
    held = sum(one.quarantined_before for one in replay.rules)
    out.print(f"{replay.moved} of {held} quarantined lines are events now.")
    for one in replay.findings:
        text = escape(f"{one['file']}: {one['detail']}")
        err.print(f"[yellow]{one['finding']}:[/yellow] {text}", soft_wrap=True)


def _all(batches: Batches) -> list[str]:
    return [*chain.from_iterable(batches.values())]


def _replay(settings: Settings, home: HomeResource, batches: Batches) -> list[str]:
    """Run the job once for each ingest day; return the runs' ids."""
    run_ids: list[str] = []
    with open_instance(settings) as instance:
        for day, batch_ids in batches.items():
            with err.status(f"replaying what landed on {day} ..."):
                config = take_batches(batch_ids, log_level="CRITICAL")
                run_ids.append(run_job(instance, home, INGEST_JOB_NAME, config, day=day))
            taken = sum_taken(home, run_ids[-1:])
            err.print(f"{day}: {taken['lines']} lines, {taken['quarantined']} quarantined")
    return run_ids


def _compare(
    home: HomeResource, batches: Batches, *, before: Mapping[str, int], run_ids: Sequence[str]
) -> list[RuleChange]:
    """Return a row per rule: its lines in quarantine before and after, and those moved."""
    after = count_quarantined(home.lake, _all(batches))
    moved = count_moved(home.lake, run_ids)
    names = sorted({*before, *after}, key=lambda rule: (-before.get(rule, 0), rule))
    return [
        RuleChange(name, before.get(name, 0), after.get(name, 0), moved.get(name, 0))
        for name in names
    ]


def _explain_left(
    home: HomeResource, batches: Batches, run_ids: Sequence[str]
) -> list[dict[str, str]]:
    """Return why batches were left as they are: a row per file that is not what it was."""
    left = read_left(home.lake, _all(batches), run_ids)
    rows: list[dict[str, str]] = []
    for day in batches if left else ():
        slices = read_slices_of_batches(home.lake, day, left)
        for file, found in find_unprovable(home.landing_files(), slices).items():
            rows.append({"file": file, "finding": found.finding, "detail": found.detail})
    return rows
