"""What a replay takes: batches of an ingest day whose files are still what they were.

Add here what must hold of a landed file before its lines are run again. Which batches are worth it
is `storage.quarantined`'s question; the rest of the job treats a replayed slice like a new one.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from opsmeter_pipeline.landing import Finding, Taken
from opsmeter_pipeline.model.landed import LandedFile, Slice
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.ledger import read_slices_landed_on, read_taken
from opsmeter_pipeline.storage.survey import RunPlan, find_unreadable


def plan_replay(landing: Landing, lake: Lake, *, day: date, batch_ids: Sequence[str]) -> RunPlan:
    """Return a plan of all slices of these batches, and of nothing new.

    A batch is replayed whole or left as it is. Each slice is held against its checksum before,
    so that one changed file costs its own batch and no other.

    Args:
        landing: where the files are.
        lake: the warehouse, whose ledger knows the slices.
        day: the run's ingest day; batches of other days are left out.
        batch_ids: the batches asked for.
    """
    slices = read_slices_of_batches(lake, day, batch_ids)
    found = find_unprovable(landing, slices)
    spoiled = {one.batch_id for one in slices if one.file in found}
    kept = [one for one in slices if one.batch_id not in spoiled]
    return RunPlan(
        slices=kept,
        findings=_leave_out_known(found.values(), read_taken(lake)),
        replayed=sorted({one.batch_id for one in kept}),
        missing=sorted(found),
    )


def read_slices_of_batches(lake: Lake, day: date, batch_ids: Sequence[str]) -> list[Slice]:
    """Return the slices of these batches that landed on a UTC day, in the order they were taken."""
    wanted = set(batch_ids)
    return [one for one in read_slices_landed_on(lake, day) if one.batch_id in wanted]


def find_unprovable(landing: Landing, slices: Sequence[Slice]) -> dict[str, Finding]:
    """Return a finding for each file that does not hold a slice's bytes any more."""
    here = {landed.file: landed for landed in landing.list_files()}
    found: dict[str, Finding] = {}
    for one in slices:
        landed = here.get(one.file)
        if landed is None:
            gone = LandedFile(one.file, one.byte_end, one.modified_at)
            found[one.file] = Finding(gone, "gone", _GONE)
        elif one.file not in found:
            finding = _prove(landing, landed, one)
            found |= {one.file: finding} if finding else {}
    return found


def _prove(landing: Landing, landed: LandedFile, one: Slice) -> Finding | None:
    """Return what keeps a slice from being read again as it was, or None."""
    try:
        checksum = landing.checksum(one.file, one.byte_start, one.byte_end)
    except OSError as exc:
        return find_unreadable(landed, exc)
    return None if checksum == one.checksum else Finding(landed, "changed", _CHANGED)


def _leave_out_known(findings: Iterable[Finding], taken: Mapping[str, Taken]) -> list[Finding]:
    """Return the findings that were not the last thing found of their file already."""
    return [
        one
        for one in findings
        if (known := taken.get(one.landed.file)) is None
        or known.finding != one.finding
        or not known.looks_like(one.landed)
    ]


_GONE = (
    "it is no longer in the landing, so its batch stays as it is. Restore the file under this "
    "path, then run `opsmeter replay` again."
)
_CHANGED = (
    "the bytes that were taken are no longer the same, so its batch stays as it is. Restore the "
    "file, then run `opsmeter replay` again; land new content under a new name."
)
