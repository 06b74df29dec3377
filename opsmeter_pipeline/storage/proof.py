"""Whether what was taken of a landed file is still there, byte for byte.

Asked before a file goes on and before its lines are run again. Add here what must hold of a landed
file for that; which files and batches are asked about is `storage.plan`'s.
"""

from collections.abc import Sequence

from opsmeter_pipeline.landing import Finding
from opsmeter_pipeline.model.landed import LandedFile, Slice
from opsmeter_pipeline.storage.landing import Landing


def find_unreadable(landed: LandedFile, error: OSError) -> Finding:
    """Return the finding for a file that this user cannot open."""
    why = f"it cannot be opened ({error.strerror or error}). Let this user read it."
    return Finding(landed, "unreadable", why)


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


def is_unchanged(landing: Landing, slices: Sequence[Slice]) -> bool:
    """Return whether a file still holds the bytes of all these slices of it."""
    return all(_sums_up(landing, one) for one in slices)


def _prove(landing: Landing, landed: LandedFile, one: Slice) -> Finding | None:
    """Return what keeps a slice from being read again as it was, or None."""
    try:
        return None if _sums_up(landing, one) else Finding(landed, "changed", _CHANGED)
    except OSError as exc:
        return find_unreadable(landed, exc)


def _sums_up(landing: Landing, one: Slice) -> bool:
    return landing.checksum(one.file, one.byte_start, one.byte_end) == one.checksum


_GONE = (
    "it is no longer in the landing, so its batch stays as it is. Restore the file under this "
    "path, then replay it again."
)
_CHANGED = (
    "the bytes that were taken are no longer the same, so its batch stays as it is. Restore the "
    "file, then replay it again; land new content under a new name."
)
