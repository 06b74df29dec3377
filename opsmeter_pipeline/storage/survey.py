"""A look at the landing against the ledger: what waits, and what may not be taken.

The landing sensor, `opsmeter run` and the landing asset ask the same question here, so they
agree on whether there is something to do. Decisions are the `landing` stage's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from opsmeter_pipeline.landing import (
    REFUSALS,
    Candidate,
    Finding,
    Left,
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
from opsmeter_pipeline.storage.ledger import read_findings, read_last_day, read_taken
from opsmeter_pipeline.storage.parallel import map_bounded
from opsmeter_pipeline.storage.proof import find_unreadable

OPENED_AT_ONCE = 32
"""In a bucket each file costs a round trip; one after the other, 10,000 would outlast a tick."""


@dataclass(frozen=True)
class Survey:
    """What a look at the landing found.

    Attributes:
        now: when the landing was listed (UTC).
        measured: candidates with the byte after their last whole line.
        findings: files that are no telemetry or cannot be opened, and were not known as such.
        refused: files that are known to be refused already.
        unreadable: candidates that cannot be opened: they wait, as far as anybody can tell.
        last_day: ingest day of the newest batch of what was new then; None if there was none.
    """

    now: datetime
    measured: list[tuple[Candidate, int]]
    findings: list[Finding]
    refused: list[LandedFile]
    unreadable: Sequence[Candidate] = ()
    last_day: date | None = None

    def next_day(self, settings: Settings) -> date | None:
        """Return the ingest day the next run should take, or None if nothing waits."""
        plan = plan_batch(
            self.measured,
            now=self.now,
            batch_id="",
            batch_bytes=settings.batch_bytes,
            last_day=self.last_day,
        )
        if plan:
            return plan[0].ingest_day
        is_waiting = self.findings or any(_needs_proof(*one) for one in self.measured)
        return ingest_day(self.now) if is_waiting else None

    def waiting_bytes(self, settings: Settings) -> int:
        """Return how many stored bytes wait; of a growing file, those it gained."""
        left = self.find_left(settings)
        gained = (one.candidate.landed.size_bytes - one.candidate.byte_start for one in left)
        return sum(max(0, size_bytes) for size_bytes in gained)

    def watermark(
        self,
        lake: Lake,
        settings: Settings,
        *,
        slices: Sequence[Slice] = (),
        newer: Watermark | None = None,
    ) -> Watermark:
        """Return how far all that was listed is visible once these slices are.

        Args:
            lake: the warehouse, which knows a look before.
            settings: the home's.
            slices: what will be visible.
            newer: a look that the warehouse may not know. A file that has grown since a look has
                nothing that landed before that look's watermark.
        """
        left = self.find_left(settings, slices)
        waiting = self.date_left(lake, left, newer=newer)
        refused = {one.landed.file for one in self.findings if one.finding in REFUSALS}
        return Watermark(
            looked_at=self.now,
            complete_through=min(waiting, default=self.now),
            waiting_files=len(waiting),
            refused_files=len(refused | {one.file for one in self.refused}),
            lateness_allowance_seconds=settings.lateness_allowance_seconds,
        )

    def find_left(self, settings: Settings, slices: Sequence[Slice] = ()) -> list[Left]:
        """Return the files of which something waits once these slices are visible."""
        closed = [Left(one, has_lines=True, is_begun=one.byte_start > 0) for one in self.unreadable]
        return [*find_left(self.measured, slices, batch_bytes=settings.batch_bytes), *closed]

    def date_left(
        self, lake: Lake, left: Sequence[Left], *, newer: Watermark | None = None
    ) -> list[datetime]:
        """Return since when each of these files waits, by what looks before knew.

        What any look knew holds. The newest alone may know less: taken while a batch was under way,
        it inherits an old watermark, and where files never stop coming so would every later one.
        """
        looks = [one for one in (read_watermark(lake), newer) if one] if left else []
        dated = [date_waiting(left, now=self.now, before=one) for one in looks or [None]]
        return [max(times) for times in zip(*dated, strict=True)]

    def date_slices(
        self, lake: Lake, slices: Sequence[Slice], *, newer: Watermark | None = None
    ) -> list[Slice]:
        """Return slices with since when the lines that their logs gained may have landed.

        What is taken of a file for the first time landed when it was last changed: that it grew
        before, nobody has seen.
        """
        candidates = {one.landed.file: one for one, _ in self.measured}
        grown = [
            Left(candidates[one.file], has_lines=True, is_begun=True)
            for one in slices
            if one.format == "jsonl" and one.byte_start > 0
        ]
        dates = self.date_left(lake, grown, newer=newer)
        since = dict(zip((one.candidate.landed.file for one in grown), dates, strict=True))
        return [
            replace(one, landed_since_at=at)
            if (at := since.get(one.file)) is not None and at < one.landed_at
            else one
            for one in slices
        ]


def survey_landing(landing: Landing, lake: Lake, *, settings: Settings, now: datetime) -> Survey:
    """Return what waits in the landing, without reading more than the ends of growing files."""
    taken = read_taken(lake)
    listing = landing.list_files()
    candidates, findings = find_candidates(listing, taken)
    measured: list[tuple[Candidate, int]] = []
    unreadable: list[Candidate] = []
    for one, end in zip(candidates, _measure(landing, candidates, settings, now), strict=True):
        if isinstance(end, int):
            measured.append((one, end))
            continue
        unreadable.append(one)
        known = taken.get(one.landed.file)
        if not (known and known.finding == "unreadable" and known.looks_like(one.landed)):
            findings.append(find_unreadable(one.landed, end))
    days = {ingest_day(one.landed.modified_at) for one, _ in measured}
    last_day = read_last_day(lake) if len(days) > 1 else None
    readable = {one.landed.file for one, _ in measured}
    refused = [one for one in find_refused(listing, taken) if one.file not in readable]
    return Survey(now, measured, findings, refused, unreadable, last_day)


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


def _measure(
    landing: Landing, candidates: Sequence[Candidate], settings: Settings, now: datetime
) -> Iterator[int | OSError]:
    """Yield the byte after the last whole line of each file, or why it cannot be opened."""
    settled_before = now - timedelta(seconds=settings.settle_seconds)

    def measure(one: Candidate) -> int | OSError:
        is_settled = one.landed.modified_at < settled_before
        limit_bytes = settings.batch_bytes
        try:
            return landing.whole_lines_end(one, limit_bytes=limit_bytes, is_settled=is_settled)
        except OSError as exc:
            return exc

    return map_bounded(measure, candidates, workers=OPENED_AT_ONCE)


def _needs_proof(candidate: Candidate, end: int) -> bool:
    """Whether a known file must be looked into although it has no whole new line."""
    is_growing = candidate.format == "jsonl" and candidate.landed.size_bytes > end
    return candidate.is_known and not is_growing
