"""A look at the landing against the ledger: what waits, and what may not be taken.

The landing sensor, `opsmeter run` and the landing asset ask the same question here, so they
agree on whether there is something to do. Decisions are the `landing` stage's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from opsmeter_pipeline.landing import (
    REFUSALS,
    Candidate,
    Finding,
    date_waiting,
    find_candidates,
    find_left,
    find_refused,
    plan_batch,
)
from opsmeter_pipeline.model.clock import ingest_day
from opsmeter_pipeline.model.landed import LandedFile, Slice
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.lateness import read_watermark
from opsmeter_pipeline.storage.ledger import (
    read_findings,
    read_slices_landed_on,
    read_slices_of,
    read_taken,
)


@dataclass(frozen=True)
class Survey:
    """What a look at the landing found.

    Attributes:
        now: when the landing was listed (UTC).
        measured: candidates with the byte after their last whole line.
        findings: files that are no telemetry or cannot be opened, and were not known as such.
        refused: files that are known to be refused already.
    """

    now: datetime
    measured: list[tuple[Candidate, int]]
    findings: list[Finding]
    refused: list[LandedFile]

    def next_day(self, settings: Settings) -> date | None:
        """Return the ingest day the next run should take, or None if nothing waits."""
        plan = plan_batch(
            self.measured, now=self.now, batch_id="", batch_bytes=settings.batch_bytes
        )
        if plan:
            return plan[0].ingest_day
        is_waiting = self.findings or any(_needs_proof(*one) for one in self.measured)
        return ingest_day(self.now) if is_waiting else None

    def watermark(
        self, lake: Lake, settings: Settings, *, slices: Sequence[Slice] = ()
    ) -> Watermark:
        """Return how far all that was listed is visible once these slices are."""
        left = find_left(self.measured, slices, batch_bytes=settings.batch_bytes)
        before = read_watermark(lake) if left else None
        waiting = date_waiting(left, now=self.now, before=before)
        refused = {one.landed.file for one in self.findings if one.finding in REFUSALS}
        return Watermark(
            looked_at=self.now,
            complete_through=min(waiting, default=self.now),
            waiting_files=len(waiting),
            refused_files=len(refused | {one.file for one in self.refused}),
            lateness_allowance_seconds=settings.lateness_allowance_seconds,
        )


@dataclass(frozen=True)
class RunPlan:
    """What one run takes.

    Attributes:
        slices: replayed slices first, in the order in which they were taken; then the new batch.
        findings: what of the landing cannot be taken.
        replayed: batches that are in the warehouse and will be replaced.
        missing: files of the day that are gone, so that their batches stay as they are.
        watermark: what will be visible of the landing then; None if nothing new was looked for.
    """

    slices: list[Slice]
    findings: list[Finding]
    replayed: list[str]
    missing: list[str]
    watermark: Watermark | None = None


def survey_landing(landing: Landing, lake: Lake, *, settings: Settings, now: datetime) -> Survey:
    """Return what waits in the landing, without reading more than the ends of growing files."""
    taken = read_taken(lake)
    listing = landing.list_files()
    candidates, findings = find_candidates(listing, taken)
    limit_bytes = settings.batch_bytes
    settled_before = now - timedelta(seconds=settings.settle_seconds)
    measured: list[tuple[Candidate, int]] = []
    for one in candidates:
        is_settled = one.landed.modified_at < settled_before
        try:
            end = landing.whole_lines_end(one, limit_bytes=limit_bytes, is_settled=is_settled)
        except OSError as exc:
            known = taken.get(one.landed.file)
            if known and known.finding == "unreadable" and known.looks_like(one.landed):
                continue
            findings.append(find_unreadable(one.landed, exc))
        else:
            measured.append((one, end))
    return Survey(now, measured, findings, find_refused(listing, taken))


def describe_refused(survey: Survey, lake: Lake) -> list[dict[str, str]]:
    """Return file, finding and detail of each file that is refused, by path."""
    known = read_findings(lake, [one.file for one in survey.refused])
    new = [
        {"file": one.landed.file, "finding": one.finding, "detail": one.detail}
        for one in survey.findings
        if one.finding in REFUSALS
    ]
    by_file = {row["file"]: row for row in [*known, *new]}
    return [by_file[file] for file in sorted(by_file)]


def find_unreadable(landed: LandedFile, error: OSError) -> Finding:
    """Return the finding for a file that this user cannot open."""
    why = f"it cannot be opened ({error.strerror or error}). Let this user read it."
    return Finding(landed, "unreadable", why)


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
    new = plan_batch(
        survey.measured, now=now, batch_id=batch_id, batch_bytes=settings.batch_bytes, day=day
    )
    watermark = survey.watermark(lake, settings, slices=new)
    if not replay:
        return RunPlan(new, survey.findings, [], [], watermark)
    old, missing = _find_replayable(landing, read_slices_landed_on(lake, day))
    replayed = sorted({one.batch_id for one in old})
    return RunPlan(old + new, survey.findings, replayed, missing, watermark)


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
        elif not _is_same(landing, read_slices_of(lake, candidate.landed.file)):
            findings.append(Finding(candidate.landed, "changed", _CHANGED))
        elif size == candidate.byte_start:
            findings.append(Finding(candidate.landed, "touched", _TOUCHED))
        elif candidate.format == "jsonl":
            good.append((candidate, end))
        else:
            findings.append(Finding(candidate.landed, "changed", _CHANGED))
    return replace(survey, measured=good, findings=findings)


def _find_replayable(landing: Landing, slices: list[Slice]) -> tuple[list[Slice], list[str]]:
    """Return the slices of those batches whose files are all still there, and the files missing.

    A batch is replayed whole or left as it is, so that a file that retention has removed from
    the landing does not take its published events with it.
    """
    here = {landed.file: landed.size_bytes for landed in landing.list_files()}
    missing = [one for one in slices if here.get(one.file, -1) < one.byte_end]
    spoiled = {one.batch_id for one in missing}
    kept = [one for one in slices if one.batch_id not in spoiled]
    return kept, sorted({one.file for one in missing})


def _is_same(landing: Landing, slices: list[Slice]) -> bool:
    return all(
        landing.checksum(one.file, one.byte_start, one.byte_end) == one.checksum for one in slices
    )


def _needs_proof(candidate: Candidate, end: int) -> bool:
    """Whether a known file must be looked into although it has no whole new line."""
    is_growing = candidate.format == "jsonl" and candidate.landed.size_bytes > end
    return candidate.is_known and not is_growing


_CHANGED = (
    "it was taken before and its content is no longer the same; only a plain .jsonl may grow. "
    "Restore it, or land the new content under a new name."
)
_TOUCHED = "its modification time changed, its content did not; nothing to do."
