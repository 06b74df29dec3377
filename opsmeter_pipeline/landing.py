"""What of the landing a run takes: which files are new, which grew, which may not be touched.

Pure decisions over a listing and what the ledger knows; looking and reading is
`storage.landing`'s. A batch holds slices of one UTC ingest day, up to a size, oldest first, so
that a large backlog becomes several batches and memory stays bounded. After it comes `contract`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate

from opsmeter_pipeline.model.clock import LAST_INSTANT, ingest_day, start_of_day
from opsmeter_pipeline.model.landed import Format, LandedFile, Slice, format_of
from opsmeter_pipeline.model.watermark import Watermark

FIRST_DAY = date(2020, 1, 1)
"""The first partition. A file with an older modification time is taken as of that day."""
_FIRST_INSTANT = start_of_day(FIRST_DAY)
COMPRESSED_WEIGHT = 8
"""How much more text than its stored bytes a compressed file is assumed to hold."""
REFUSALS = ("changed", "unsupported", "unreadable", "damaged", "oversized")
"""Findings after which something of a file cannot be taken unless a person acts."""


@dataclass(frozen=True)
class Taken:
    """What the ledger knows of a file.

    Attributes:
        byte_end: how far it has been taken.
        next_line_number: number of its next line.
        size_bytes: its size when it was last looked at.
        modified_at: its modification time then (UTC).
        is_taken: some of it is in the ledger; if not, it was only found wanting.
        finding: what was found then, or None if it was taken.
    """

    byte_end: int
    next_line_number: int
    size_bytes: int
    modified_at: datetime
    is_taken: bool = True
    finding: str | None = None

    def looks_like(self, landed: LandedFile) -> bool:
        """Return whether the file looks as it did when it was last looked at."""
        return (landed.size_bytes, landed.modified_at) == (self.size_bytes, self.modified_at)


@dataclass(frozen=True)
class Candidate:
    """A file that may hold something to take.

    Attributes:
        landed: the file as listed.
        format: how its bytes are read.
        byte_start: where its new part starts; 0 for a new file.
        first_line_number: number of the first new line.
        is_known: parts of it were taken before, so these must be proven unchanged.
    """

    landed: LandedFile
    format: Format
    byte_start: int
    first_line_number: int
    is_known: bool


@dataclass(frozen=True)
class Left:
    """A file of which something waits.

    Attributes:
        candidate: the file.
        has_lines: whole lines of it wait, not just a last line that is unfinished.
        is_begun: a part of it is visible, or will be once the batch is.
    """

    candidate: Candidate
    has_lines: bool
    is_begun: bool


@dataclass(frozen=True)
class Finding:
    """Something in the landing that cannot be taken as it is; see `landing_findings`."""

    landed: LandedFile
    finding: str
    detail: str


def find_candidates(
    listing: Iterable[LandedFile], taken: Mapping[str, Taken]
) -> tuple[list[Candidate], list[Finding]]:
    """Return the files to look at more closely, and the ones that are no telemetry.

    A file looks the same as before if its size and modification time do; it is passed over,
    unless a plain `.jsonl` still has an unfinished last line.
    """
    candidates: list[Candidate] = []
    findings: list[Finding] = []
    for landed in listing:
        known, form = taken.get(landed.file), format_of(landed.file)
        if known and _is_settled(landed, known):
            continue
        if form is None:
            findings.append(Finding(landed, "unsupported", _UNSUPPORTED))
        elif known is None or not known.is_taken:
            candidates.append(Candidate(landed, form, 0, 1, is_known=False))
        else:
            candidates.append(
                Candidate(landed, form, known.byte_end, known.next_line_number, is_known=True)
            )
    return candidates, findings


def _is_settled(landed: LandedFile, known: Taken) -> bool:
    """Return whether nothing can have changed for a file since it was last looked at."""
    if not known.looks_like(landed) or known.finding == "unreadable":
        return False
    is_growing = format_of(landed.file) == "jsonl" and known.byte_end < landed.size_bytes
    return known.finding == "changed" or not is_growing


def plan_batch(
    measured: Sequence[tuple[Candidate, int]],
    *,
    now: datetime,
    batch_id: str,
    batch_bytes: int,
    day: date | None = None,
) -> list[Slice]:
    """Return the slices of the next batch: those of the oldest day, up to the size.

    Args:
        measured: candidates with the byte after their last whole line.
        now: when the landing was listed (UTC); no file landed later than that.
        batch_id: the new batch.
        batch_bytes: the size limit in stored bytes; one slice is taken even if it is larger.
        day: take only what landed on that UTC day.
    """
    slices = sorted(
        (
            _slice(candidate, end, now=now, batch_id=batch_id)
            for candidate, end in measured
            if end > candidate.byte_start or _is_new_and_empty(candidate)
        ),
        key=lambda one: (one.ingest_day, one.landed_at, one.file),
    )
    first_day = day or (slices[0].ingest_day if slices else None)
    of_day = [one for one in slices if one.ingest_day == first_day]
    sizes = list(accumulate(map(_weight, of_day)))
    return [
        one
        for one, size in zip(of_day, sizes, strict=True)
        if size <= batch_bytes or one is of_day[0]
    ]


def find_refused(listing: Iterable[LandedFile], taken: Mapping[str, Taken]) -> list[LandedFile]:
    """Return the listed files that were refused, and look as they did then."""
    return [
        landed
        for landed in listing
        if (known := taken.get(landed.file))
        and known.finding in REFUSALS
        and known.looks_like(landed)
    ]


def find_left(
    measured: Iterable[tuple[Candidate, int]], slices: Iterable[Slice], *, batch_bytes: int
) -> list[Left]:
    """Return the files of which the slices leave something.

    Args:
        measured: candidates with the byte after their last whole line.
        slices: what will be visible; none if nothing is taken.
        batch_bytes: how far into a file its last whole line was looked for.
    """
    ends = {one.file: one.byte_end for one in slices}
    left: list[Left] = []
    for candidate, end in measured:
        landed, start = candidate.landed, candidate.byte_start
        reached = ends.get(landed.file, start)
        if landed.file not in ends or reached < landed.size_bytes:
            is_cut = landed.size_bytes - start > batch_bytes
            left.append(Left(candidate, reached < end or is_cut, reached > 0))
    return left


def date_waiting(
    left: Iterable[Left], *, now: datetime, before: Watermark | None
) -> list[datetime]:
    """Return since when each of these files waits (ADR 0013).

    A file waits since its modification time. A plain `.jsonl` that may have grown since the look
    before has whole lines that landed earlier; these are not older than that look's watermark.

    Args:
        left: what `find_left` found.
        now: when the landing was listed (UTC); nothing landed later than that.
        before: what the look before knew; None if there was none.
    """
    return [min(one.candidate.landed.modified_at, now, _bound(one, before)) for one in left]


def _bound(left: Left, before: Watermark | None) -> datetime:
    """Return what the waiting lines of a file that may have grown are not older than."""
    if left.candidate.format != "jsonl" or not left.has_lines:
        return LAST_INSTANT
    if before is None:
        return _FIRST_INSTANT if left.is_begun else LAST_INSTANT
    has_grown = left.is_begun or left.candidate.landed.modified_at > before.looked_at
    return before.complete_through if has_grown else LAST_INSTANT


def _slice(candidate: Candidate, end: int, *, now: datetime, batch_id: str) -> Slice:
    landed_at = min(candidate.landed.modified_at, now)
    return Slice(
        batch_id=batch_id,
        file=candidate.landed.file,
        format=candidate.format,
        ingest_day=max(ingest_day(landed_at), FIRST_DAY),
        landed_at=landed_at,
        modified_at=candidate.landed.modified_at,
        taken_at=now,
        byte_start=candidate.byte_start,
        byte_end=end,
        first_line_number=candidate.first_line_number,
    )


def _is_new_and_empty(candidate: Candidate) -> bool:
    return not candidate.is_known and candidate.landed.size_bytes == 0


def _weight(one: Slice) -> int:
    size = one.byte_end - one.byte_start
    return size if one.format in ("jsonl", "csv") else size * COMPRESSED_WEIGHT


_UNSUPPORTED = (
    "none of .jsonl, .jsonl.gz, .jsonl.zst, .csv, .parquet. Rename it, or hide it with a leading "
    "dot if it is no telemetry."
)
