"""When all that waits will have been taken, as far as the last batches can tell.

Pure arithmetic over what one look at the landing and the ledger know (ADR 0025). It says `unknown`
rather than guess. Reading the ledger is `storage.backlog`'s; commands, sensor and alerts show it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Literal

HISTORY_SECONDS = 3600
"""How old a batch may be that tells how fast batches are taken."""
ARRIVAL_SECONDS = 300
"""Over which time what landed is counted: the freshness objective's own five minutes, so that a
burst that is over is no longer called one five minutes later."""
LIKE_PART = 10
"""A batch of less than a tenth of what the next one will hold says nothing of its speed."""
TURN_SECONDS = 10.0
"""From one batch's end to the next one's beginning where none tells: a tick and a run's start."""
IDLE_SECONDS = 60
"""A longer pause between two batches had nothing to take."""
STALLED_SECONDS = 600
"""If something waits and nothing became visible for longer, batches of before promise nothing."""


@dataclass(frozen=True)
class TakenBatch:
    """A batch of the ledger: when it was taken and visible (UTC), its size as text."""

    taken_at: datetime
    visible_at: datetime | None
    text_bytes: int


@dataclass(frozen=True)
class Waiting:
    """A file that waits.

    Attributes:
        landed_at: its modification time (UTC).
        text_bytes: size of what waits of it, as text.
        is_dated: that all of it landed then; of a file that was taken in part nobody knows.
    """

    landed_at: datetime
    text_bytes: int
    is_dated: bool


@dataclass(frozen=True)
class CatchUp:
    """How much waits and until when. Sizes are of text, a compressed file counted eightfold.

    Attributes:
        looked_at: when the landing was listed (UTC).
        state: `caught_up` if nothing waits, `catching_up` by `caught_up_at`, `falling_behind` if
            more lands than is taken, so never at this rate, `unknown` if it cannot be told.
        waiting_files: files of which whole lines wait.
        waiting_bytes: size of what waits.
        taken_bytes_per_second: how fast the last batches were taken; null if none tells.
        landed_bytes_per_second: how fast it landed in the last `ARRIVAL_SECONDS`.
        caught_up_at: when nothing of it will wait (UTC); null unless caught up or catching up.
        how: how that was worked out, or why it was not.
    """

    looked_at: datetime
    state: Literal["caught_up", "catching_up", "falling_behind", "unknown"]
    waiting_files: int
    waiting_bytes: int
    taken_bytes_per_second: float | None
    landed_bytes_per_second: float
    caught_up_at: datetime | None
    how: str

    def describe(self) -> str:
        """Return it as one line of text."""
        waits = f"{self.waiting_files} files, {_size(self.waiting_bytes)} wait"
        if self.caught_up_at is None:
            return f"{waits}; {self.how}"
        if self.state == "caught_up":
            return self.how
        lasts = _duration((self.caught_up_at - self.looked_at).total_seconds())
        return f"{waits}; about {lasts} at {self.how}"


def estimate_catch_up(
    waiting: Sequence[Waiting],
    batches: Iterable[TakenBatch],
    *,
    now: datetime,
    landed_bytes: int,
    batch_bytes: int,
) -> CatchUp:
    """Return when all that waits will be visible if batches and producers go on as they did.

    Args:
        waiting: the files that wait.
        batches: batches of the ledger, in any order; those of more than `HISTORY_SECONDS` ago and
            those that no clock can be right about are left out.
        now: when the landing was listed (UTC).
        landed_bytes: text in the ledger that landed in the last `ARRIVAL_SECONDS`.
        batch_bytes: the size limit of a batch.
    """
    size = sum(one.text_bytes for one in waiting)
    since = now - timedelta(seconds=ARRIVAL_SECONDS)
    new = [one for one in waiting if one.landed_at > since]
    least = landed_bytes + sum(one.text_bytes for one in new if one.is_dated)
    most = landed_bytes + sum(one.text_bytes for one in new)
    turns = _time_turns(batches, now)
    speed = _speed(turns, min(size, batch_bytes))
    landing = most / ARRIVAL_SECONDS

    def tell(state: _State, how: str, caught_up_at: datetime | None = None) -> CatchUp:
        return CatchUp(now, state, len(waiting), size, speed, landing, caught_up_at, how)

    if not waiting:
        return tell("caught_up", "nothing waits", now)
    if why := _find_doubt(waiting, turns, speed, now):
        return tell("unknown", f"no estimate: {why}")
    assert speed is not None  # noqa: S101 - else there was a doubt
    rates = f"{_size(speed)}/s taken, {_size(landing)}/s landing"
    if speed <= least / ARRIVAL_SECONDS:
        return tell("falling_behind", f"never at this rate: {rates}")
    seconds = size / (speed - landing) if speed > landing else _FOREVER_SECONDS
    if seconds >= _FOREVER_SECONDS:
        grown = "nobody knows when a growing file's lines landed" if least < most else "too slow"
        return tell("unknown", f"no estimate: {grown}; {rates}")
    return tell("catching_up", rates, now + timedelta(seconds=seconds))


def _time_turns(batches: Iterable[TakenBatch], now: datetime) -> list[tuple[datetime, float, int]]:
    """Return when each believable batch was visible, its seconds with the pause before, its size.

    A batch without a visible time, or with one before it was taken, was measured by no clock.
    """
    oldest = now - timedelta(seconds=HISTORY_SECONDS)
    spans = sorted(
        (one.taken_at, one.visible_at, one.text_bytes)
        for one in batches
        if one.visible_at is not None and oldest <= one.taken_at < one.visible_at <= now
    )
    pauses = [(later[0] - sooner[1]).total_seconds() for sooner, later in pairwise(spans)]
    usual = median([one for one in pauses if 0 <= one <= IDLE_SECONDS] or [TURN_SECONDS])
    before = [usual, *(one if 0 <= one <= IDLE_SECONDS else usual for one in pauses)]
    return [
        (visible_at, (visible_at - taken_at).total_seconds() + pause, size)
        for (taken_at, visible_at, size), pause in zip(spans, before, strict=False)
    ]


def _speed(turns: Iterable[tuple[datetime, float, int]], next_bytes: int) -> float | None:
    """Return the bytes a second of the batches that were large enough to tell; None if none was."""
    like = [(seconds, size) for _, seconds, size in turns if size * LIKE_PART >= next_bytes > 0]
    return sum(size for _, size in like) / sum(seconds for seconds, _ in like) if like else None


def _find_doubt(
    waiting: Sequence[Waiting],
    turns: Sequence[tuple[datetime, float, int]],
    speed: float | None,
    now: datetime,
) -> str | None:
    """Return why nothing can be said, or None."""
    if not turns:
        return f"no batch was taken in the last {_duration(HISTORY_SECONDS)}"
    still = (now - max(visible_at for visible_at, _, _ in turns)).total_seconds()
    waits = (now - min(one.landed_at for one in waiting)).total_seconds()
    if min(still, waits) > STALLED_SECONDS:
        return f"nothing became visible for {_duration(still)}"
    return None if speed else "no batch of like size was taken lately"


def _size(count: float) -> str:
    """Return a count of bytes for a person.

    >>> _size(340_000_000), _size(1_400), _size(12)
    ('340.0 MB', '1.4 kB', '12 B')
    """
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if count >= 10**power:
            return f"{count / 10**power:.1f} {unit}"
    return f"{count:.0f} B"


def _duration(seconds: float) -> str:
    """Return a time span for a person.

    >>> _duration(40), _duration(240), _duration(9_000)
    ('40 s', '4 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


_State = Literal["caught_up", "catching_up", "falling_behind", "unknown"]
_FOREVER_SECONDS = 366 * 24 * 3600.0
