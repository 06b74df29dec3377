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

State = Literal["caught_up", "catching_up", "falling_behind", "unknown"]
HISTORY_SECONDS = 3600
"""How old a batch may be that tells how fast batches are taken."""
ARRIVAL_SECONDS = 300
"""Over which time what landed is counted: the freshness objective's own five minutes, so that a
burst that is over is no longer called one five minutes later."""
LIKE_PARTS = (2, 10)
"""What the next batch will hold, by these, is how large a batch must be to tell its speed: half as
large, or a tenth if there is none. A run has a fixed part, so a small one makes the speed too low:
in a drill, batches of a third said 270 s where it took 75."""
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
    state: State
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
    most = (landed_bytes + sum(one.text_bytes for one in new)) / ARRIVAL_SECONDS
    least = (landed_bytes + sum(one.text_bytes for one in new if one.is_dated)) / ARRIVAL_SECONDS
    turns = _time_turns(batches, now)
    like = _choose_like(turns, min(size, batch_bytes))
    speed = sum(one.text_bytes for one in like) / sum(one.seconds for one in like) if like else None

    state, how, seconds = "caught_up", "nothing waits", 0.0
    if waiting:
        shortest = min((one.seconds for one in like), default=0.0)
        doubt = _find_doubt(waiting, turns, now)
        state, how, seconds = (
            ("unknown", f"no estimate: {doubt}", None)
            if doubt
            else _extrapolate(size, speed, least=least, most=most, shortest=shortest)
        )
    caught_up_at = None if seconds is None else now + timedelta(seconds=seconds)
    return CatchUp(now, state, len(waiting), size, speed, most, caught_up_at, how)


def _extrapolate(
    size: int, speed: float | None, *, least: float, most: float, shortest: float
) -> tuple[State, str, float | None]:
    """Return the verdict, how it was worked out, and in how many seconds nothing waits.

    Args:
        size: the bytes that wait.
        speed: bytes a second of the last batches; None if none was large enough to tell.
        least: bytes a second that landed for certain.
        most: the same with those of a growing file, which may be older.
        shortest: seconds of the quickest of these batches; it takes one at least.
    """
    if speed is None:
        return "unknown", "no estimate: no batch of like size was taken lately", None
    rates = f"{_size(speed)}/s taken, {_size(most)}/s landing"
    if speed <= least:
        return "falling_behind", f"never at this rate: {rates}", None
    if speed <= most:
        how = f"no estimate: when a growing file's lines landed is unknown; {rates}"
        return "unknown", how, None
    seconds = max(size / (speed - most), shortest)
    if seconds > _FOREVER_SECONDS:
        return "falling_behind", f"not within a year: {rates}", None
    return "catching_up", rates, seconds


@dataclass(frozen=True)
class _Turn:
    """A batch that can be believed: its seconds with the pause before it, its size."""

    visible_at: datetime
    seconds: float
    text_bytes: int


def _time_turns(batches: Iterable[TakenBatch], now: datetime) -> list[_Turn]:
    """Return the batches that tell how fast they are taken, in order of time.

    One without a visible time, or with one before it was taken, was measured by no clock.
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
        _Turn(visible_at, (visible_at - taken_at).total_seconds() + pause, size)
        for (taken_at, visible_at, size), pause in zip(spans, before, strict=False)
    ]


def _choose_like(turns: Sequence[_Turn], next_bytes: int) -> list[_Turn]:
    """Return the batches that tell best how fast the next one will be taken; none may."""
    for part in LIKE_PARTS:
        like = [one for one in turns if one.text_bytes * part >= next_bytes]
        if like:
            return like
    return []


def _find_doubt(waiting: Sequence[Waiting], turns: Sequence[_Turn], now: datetime) -> str | None:
    """Return why the batches of the last hour promise nothing, or None."""
    if not turns:
        return f"no batch was taken in the last {_duration(HISTORY_SECONDS)}"
    still = (now - max(one.visible_at for one in turns)).total_seconds()
    waits = (now - min(one.landed_at for one in waiting)).total_seconds()
    if min(still, waits) > STALLED_SECONDS:
        return f"nothing became visible for {_duration(still)}"
    return None


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


_FOREVER_SECONDS = 366 * 24 * 3600.0
