"""How a batch is shared out between sources when more waits than it may hold.

Pure arithmetic over planned slices: a source gets what it has, up to an equal share of the batch,
so that one producer's flood makes its own files late and nobody else's (ADR 0025). Which slices may
go at all is decided by the stage before it comes here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from opsmeter_pipeline.model.landed import Format, Slice

COMPRESSED_WEIGHT = 8
"""How much more text than its stored bytes a compressed file is assumed to hold."""
PIECES = 16
"""A part of a `.jsonl` is taken only if it is at least this part of a batch: a log is not crumbled
where sources are many."""


def weigh(stored_bytes: int, form: Format) -> int:
    """Return how many bytes of text stored bytes of a format count as.

    >>> weigh(100, "jsonl"), weigh(100, "jsonl.gz")
    (100, 800)
    """
    return stored_bytes if form in ("jsonl", "csv") else stored_bytes * COMPRESSED_WEIGHT


def share_batch(waiting: Sequence[tuple[Slice, str]], *, batch_bytes: int) -> list[Slice]:
    """Return what of the waiting slices the batch takes, in their order.

    A source's slices are taken in order, none before one that waits. Each source gets up to an
    equal share; what others leave of theirs goes to whoever landed first. A `.jsonl` may be taken
    in part. Of the files that can only be taken whole and are larger than their share, the first
    goes with every batch, so that none waits for ever. If it is larger than half a batch the others
    get half a batch beside it: only then a batch is larger than the limit, by half of it at most or
    by the file.

    Args:
        waiting: slices with their sources, in order of landing; one slice a file.
        batch_bytes: the limit, in bytes of text as `weigh` counts them.
    """
    if sum(_weight(one) for one, _ in waiting) <= batch_bytes:
        return [one for one, _ in waiting]
    taken: dict[str, Slice] = {}
    room, least = batch_bytes, batch_bytes // PIECES
    share = _share(waiting, room)
    first = _find_too_large(waiting, share, least)
    if first:
        one, source = first
        taken[one.file] = _fit(one, batch_bytes // 2, least) or one
        room = max(room - _weight(taken[one.file]), batch_bytes // 2)
        others = [pair for pair in waiting if pair[1] != source]
        share = _share(others, room)
        oldest, apart = waiting[0][0], {source, waiting[0][1]}
        if oldest.file not in taken and _fit(oldest, share, least) is None:
            # Its share shrank beside the large one; who has waited longest goes all the same.
            taken[oldest.file] = _fit(oldest, room, least) or oldest
            room -= _weight(taken[oldest.file])
            share = _share([pair for pair in others if pair[1] not in apart], room)
    heads = {taken_source for one, taken_source in waiting if one.file in taken}
    rooms = {source: 0 if source in heads else share for _, source in waiting}
    for one, source in waiting:
        if one.file not in taken and (piece := _fit(one, rooms[source], least)):
            taken[one.file] = piece
            rooms[source] -= _weight(piece)
            room -= _weight(piece)
        if one.file not in taken or taken[one.file] is not one:
            rooms[source] = -1  # the rest of this source waits behind it
    _fill_up(taken, waiting, room=room, least=least)
    return [taken[one.file] for one, _ in waiting if one.file in taken]


def _share(waiting: Iterable[tuple[Slice, str]], room: int) -> int:
    """Return the size up to which each source's demand is met, so that all fit into the room."""
    demands: dict[str, int] = {}
    for one, source in waiting:
        demands[source] = demands.get(source, 0) + _weight(one)
    for met, demand in enumerate(sorted(demands.values())):
        share = room // (len(demands) - met)
        if demand > share:
            return share
        room -= demand
    return max(demands.values(), default=0)


def _find_too_large(
    waiting: Iterable[tuple[Slice, str]], share: int, least: int
) -> tuple[Slice, str] | None:
    """Return the first slice at the head of its source of which nothing fits into a share."""
    seen: set[str] = set()
    for one, source in waiting:
        if source not in seen and _fit(one, share, least) is None:
            return one, source
        seen.add(source)
    return None


def _fill_up(
    taken: dict[str, Slice], waiting: Iterable[tuple[Slice, str]], *, room: int, least: int
) -> None:
    """Add to what is taken, in order of landing, what fits into the room that shares left."""
    closed: set[str] = set()
    for one, source in waiting:
        if one.file not in taken and source not in closed and (piece := _fit(one, room, least)):
            taken[one.file] = piece
            room -= _weight(piece)
        if taken.get(one.file) is not one:
            closed.add(source)


def _fit(one: Slice, room: int, least: int) -> Slice | None:
    """Return the slice if it fits, the part of it that does, or None."""
    return one if _weight(one) <= room else _cut(one, room, least)


def _cut(one: Slice, room: int, least: int) -> Slice | None:
    """Return the first part of a slice that fits, or None if it is too small or must be whole."""
    is_enough = one.format == "jsonl" and 0 < room >= least
    return replace(one, byte_end=min(one.byte_end, one.byte_start + room)) if is_enough else None


def _weight(one: Slice) -> int:
    return weigh(one.byte_end - one.byte_start, one.format)
