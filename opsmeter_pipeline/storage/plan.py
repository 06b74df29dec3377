"""What one run takes: a new batch, batches of an ingest day again, or both.

A batch is replayed whole or left as it is, so that a file that was changed, or that retention has
removed from the landing, does not take its published events with it. Before it comes a look at
the landing (`storage.survey`); the rest of the job treats a replayed slice like a new one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from opsmeter_pipeline.landing import Candidate, Finding, Taken, plan_batch
from opsmeter_pipeline.model.landed import Slice
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.ledger import read_slices_landed_on, read_slices_of, read_taken
from opsmeter_pipeline.storage.looks import find_newest, read_looks
from opsmeter_pipeline.storage.proof import find_unprovable, is_unchanged
from opsmeter_pipeline.storage.survey import Survey, survey_landing


@dataclass(frozen=True)
class RunPlan:
    """What one run takes.

    Attributes:
        slices: replayed slices first, in the order in which they were taken; then the new batch.
        findings: what of the landing cannot be taken.
        replayed: batches that are in the warehouse and will be replaced.
        missing: files that are gone or changed, so that their batches stay as they are.
        watermark: what will be visible of the landing then; None if nothing new was looked for.
    """

    slices: list[Slice]
    findings: list[Finding]
    replayed: list[str]
    missing: list[str]
    watermark: Watermark | None = None


def plan_run(
    landing: Landing,
    lake: Lake,
    *,
    settings: Settings,
    now: datetime,
    day: date,
    replay: bool,
    batch_id: str,
) -> RunPlan:
    """Return what a run of one ingest day takes: a new batch, and on replay the day's old ones."""
    survey = _prove_unchanged(
        survey_landing(landing, lake, settings=settings, now=now), landing, lake
    )
    planned = plan_batch(
        survey.measured, now=now, batch_id=batch_id, batch_bytes=settings.batch_bytes, day=day
    )
    newest = find_newest(read_looks(settings.looks))
    new = survey.date_slices(lake, _end_at_lines(planned, survey.measured, landing), newer=newest)
    watermark = survey.watermark(lake, settings, slices=new)
    if not replay:
        return RunPlan(new, survey.findings, [], [], watermark)
    old = _plan_again(landing, lake, read_slices_landed_on(lake, day))
    found = {one.landed.file: one for one in (*old.findings, *survey.findings)}
    return RunPlan(old.slices + new, [*found.values()], old.replayed, old.missing, watermark)


def plan_replay(landing: Landing, lake: Lake, *, day: date, batch_ids: Sequence[str]) -> RunPlan:
    """Return a plan of all slices of these batches, and of nothing new.

    Args:
        landing: where the files are.
        lake: the warehouse, whose ledger knows the slices.
        day: the run's ingest day; batches of other days are left out.
        batch_ids: the batches asked for.
    """
    return _plan_again(landing, lake, read_slices_of_batches(lake, day, batch_ids))


def read_slices_of_batches(lake: Lake, day: date, batch_ids: Sequence[str]) -> list[Slice]:
    """Return the slices of these batches that landed on a UTC day, in the order they were taken."""
    wanted = set(batch_ids)
    return [one for one in read_slices_landed_on(lake, day) if one.batch_id in wanted]


def _end_at_lines(
    planned: Iterable[Slice], measured: Iterable[tuple[Candidate, int]], landing: Landing
) -> list[Slice]:
    """Return the planned slices, those that were cut ended after a whole line of theirs."""
    ends = {candidate.landed.file: (candidate, end) for candidate, end in measured}
    slices: list[Slice] = []
    for one in planned:
        candidate, end = ends[one.file]
        if one.byte_end < end:
            limit_bytes = one.byte_end - one.byte_start
            cut = landing.whole_lines_end(candidate, limit_bytes=limit_bytes, is_settled=False)
            slices.append(replace(one, byte_end=min(cut, end)))
        else:
            slices.append(one)
    return slices


def _plan_again(landing: Landing, lake: Lake, slices: Sequence[Slice]) -> RunPlan:
    """Return a plan of those batches of which every slice can be read as it was."""
    found = find_unprovable(landing, slices)
    spoiled = {one.batch_id for one in slices if one.file in found}
    kept = [one for one in slices if one.batch_id not in spoiled]
    return RunPlan(
        slices=kept,
        findings=_leave_out_known(found.values(), read_taken(lake)),
        replayed=sorted({one.batch_id for one in kept}),
        missing=sorted(found),
    )


def _prove_unchanged(survey: Survey, landing: Landing, lake: Lake) -> Survey:
    """Return the survey with the candidates that may be taken, and findings for the others.

    Of a file that was taken before, only a plain `.jsonl` may go on, and only if the bytes that
    were taken are still what they were.
    """
    good: list[tuple[Candidate, int]] = []
    findings = list(survey.findings)
    for candidate, end in survey.measured:
        size = candidate.landed.size_bytes
        if not candidate.is_known:
            good.append((candidate, end))
        elif not is_unchanged(landing, read_slices_of(lake, candidate.landed.file)):
            findings.append(Finding(candidate.landed, "changed", _CHANGED))
        elif size == candidate.byte_start:
            findings.append(Finding(candidate.landed, "touched", _TOUCHED))
        elif candidate.format == "jsonl":
            good.append((candidate, end))
        else:
            findings.append(Finding(candidate.landed, "changed", _CHANGED))
    return replace(survey, measured=good, findings=findings)


def _leave_out_known(findings: Iterable[Finding], taken: Mapping[str, Taken]) -> list[Finding]:
    """Return the findings that were not the last thing found of their file already."""
    return [
        one
        for one in findings
        if (known := taken.get(one.landed.file)) is None
        or known.finding != one.finding
        or not known.looks_like(one.landed)
    ]


_CHANGED = (
    "it was taken before and its content is no longer the same; only a plain .jsonl may grow. "
    "Restore it, or land the new content under a new name."
)
_TOUCHED = "its modification time changed, its content did not; nothing to do."
