"""What of the landing a run takes: which files are new, which grew, which may not be touched.

Pure decisions over a listing and what the ledger knows; looking and reading is
`storage.landing`'s. A batch holds slices of one UTC ingest day, up to a size; what does not fit is
shared out between sources (`shares`), each one's oldest first, and waits for the next batch. When
that will be over is said by `catch_up`. After it comes `contract`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from opsmeter_pipeline.landing.shares import share_batch
from opsmeter_pipeline.model.clock import LAST_INSTANT, ingest_day, start_of_day
from opsmeter_pipeline.model.landed import Format, LandedFile, Slice, format_of
from opsmeter_pipeline.model.source import name_source
from opsmeter_pipeline.model.watermark import Watermark

FIRST_DAY = date(2020, 1, 1)
"""The first partition. A file with an older modification time is taken as of that day."""
_FIRST_INSTANT = start_of_day(FIRST_DAY)
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
    last_day: date | None = None,
) -> list[Slice]:
    """Return the slices of the next batch, in order of landing (ADR 0025).

    A source is taken in order of landing: of its files, only those of its oldest day may go. If
    several days wait, the newest goes after a batch of an older day, else the oldest. Where the
    size lets a part of a `.jsonl` go, the slice ends after that many bytes, maybe within a line.

    Args:
        measured: candidates with the byte after their last whole line.
        now: when the landing was listed (UTC); no file landed later than that.
        batch_id: the new batch.
        batch_bytes: the size limit in bytes of text; see `share_batch` for a file above half of it.
        day: take only what landed on that UTC day.
        last_day: ingest day of the batch before; None if there was none.
    """
    slices = sorted(
        (
            _slice(candidate, end, now=now, batch_id=batch_id)
            for candidate, end in measured
            if end > candidate.byte_start or _is_new_and_empty(candidate)
        ),
        key=lambda one: (one.ingest_day, one.landed_at, one.file),
    )
    turns: dict[str, date] = {}
    sources = [name_source(one.file) for one in slices]
    for one, source in zip(slices, sources, strict=True):
        turns.setdefault(source, one.ingest_day)
    chosen = day or _choose_day(turns.values(), last_day)
    of_day = [
        (one, source)
        for one, source in zip(slices, sources, strict=True)
        if one.ingest_day == chosen == turns[source]
    ]
    return share_batch(of_day, batch_bytes=batch_bytes)


def _choose_day(days: Iterable[date], last_day: date | None) -> date | None:
    """Return the day of the next batch, so that neither history nor today waits for the other."""
    waiting = sorted(set(days))
    if not waiting:
        return None
    return waiting[0] if last_day is None or last_day >= waiting[-1] else waiting[-1]


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

    A file waits since its modification time. What a plain `.jsonl` gained since it was taken may
    have landed earlier, but not before the watermark of the look before.

    Args:
        left: what `find_left` found.
        now: when the landing was listed (UTC); nothing landed later than that.
        before: what the look before knew; None if there was none.
    """
    return [min(one.candidate.landed.modified_at, now, _bound(one, before)) for one in left]


def _bound(left: Left, before: Watermark | None) -> datetime:
    """Return what the waiting lines of a file that has grown are not older than."""
    if left.candidate.format != "jsonl" or not (left.has_lines and left.is_begun):
        return LAST_INSTANT
    return before.complete_through if before else _FIRST_INSTANT


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


_UNSUPPORTED = (
    "none of .jsonl, .jsonl.gz, .jsonl.zst, .csv, .parquet. Rename it, or hide it with a leading "
    "dot if it is no telemetry."
)
