"""A burst of 50x under three orders of taking what waits; no clock and no disk decide anything.

Run `python -m benchmarks.burst.simulate`. What a run costs is a model: a fixed part and a part per
byte, both of the size that benchmarks/job measured. The fair order is the pipeline's own code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from opsmeter_pipeline.landing.shares import share_batch
from opsmeter_pipeline.model.landed import Slice

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
SOURCES = 10
FILE_EVERY_SECONDS = 5
FILE_BYTES = 10_000_000
"""2 MB/s from each source: 20 MB/s, a third of what full batches reach."""
BURST = range(300, 900)
"""Seconds in which the first source sends 50 files instead of one."""
BURST_TIMES = 50
END_SECONDS = 3_600
BATCH_BYTES = 1536 * 1024**2
RUN_SECONDS, TICK_SECONDS = 5.0, 5.0
BYTES_PER_SECOND = 100e6
LIMIT_SECONDS = 300
RETRY_SECONDS = 10
"""A source sends some lines again this long after it sent them, in the file that lands then."""

Order = Callable[[Sequence[tuple[Slice, str]]], Sequence[Slice]]


@dataclass(frozen=True)
class Outcome:
    """What became of all files of a simulation.

    Attributes:
        others_within_limit: share of the files of sources without a burst visible within 300 s.
        all_within_limit: share of all files.
        others_worst_seconds: longest delay of a file of these sources.
        burst_worst_seconds: longest delay of a file of the source that burst.
        watermark_worst_seconds: how far `complete_through` fell behind at most.
        overtaken: files whose retries were published in a batch before them.
        caught_up_seconds: after the burst's end, until nothing of it waited.
    """

    others_within_limit: float
    all_within_limit: float
    others_worst_seconds: float
    burst_worst_seconds: float
    watermark_worst_seconds: float
    overtaken: int
    caught_up_seconds: float


def OLDEST_FIRST(waiting: Sequence[tuple[Slice, str]]) -> Sequence[Slice]:  # noqa: N802
    """Take in order of landing, whoever sent it."""
    return _fill([one for one, _ in waiting])


def NEWEST_FIRST(waiting: Sequence[tuple[Slice, str]]) -> Sequence[Slice]:  # noqa: N802
    """Take what landed last first."""
    return _fill([one for one, _ in reversed(waiting)])


def FAIR(waiting: Sequence[tuple[Slice, str]]) -> Sequence[Slice]:  # noqa: N802
    """Take what the pipeline takes."""
    return share_batch(waiting, batch_bytes=BATCH_BYTES)


def simulate(order: Order) -> Outcome:
    """Return what becomes of the burst in an order."""
    coming = land_files()
    waiting: list[tuple[Slice, str]] = []
    taken: dict[str, tuple[int, Slice, str, float]] = {}
    now, batch, lag = START, 0, 0.0
    while coming or waiting:
        arrived = sum(1 for one, _ in coming if one.landed_at <= now)
        waiting, coming = waiting + coming[:arrived], coming[arrived:]
        if not waiting:
            now += timedelta(seconds=TICK_SECONDS)
            continue
        chosen = {one.file for one in order(waiting)}
        size = sum(one.byte_end for one, _ in waiting if one.file in chosen)
        visible_at = now + timedelta(seconds=RUN_SECONDS + size / BYTES_PER_SECOND)
        lag = max(lag, (visible_at - waiting[0][0].landed_at).total_seconds())
        for one, source in waiting:
            if one.file in chosen:
                delay = (visible_at - one.landed_at).total_seconds()
                taken[one.file] = (batch, one, source, delay)
        waiting = [pair for pair in waiting if pair[0].file not in chosen]
        now, batch = visible_at + timedelta(seconds=TICK_SECONDS), batch + 1
    return _judge(taken, lag)


def land_files() -> list[tuple[Slice, str]]:
    """Return all files with their sources, in order of landing."""
    return [
        (_file(f"s{source}-{second:05d}-{n:02d}", second), f"s{source}")
        for second in range(0, END_SECONDS, FILE_EVERY_SECONDS)
        for source in range(SOURCES)
        for n in range(BURST_TIMES if source == 0 and second in BURST else 1)
    ]


def _judge(taken: dict[str, tuple[int, Slice, str, float]], lag: float) -> Outcome:
    others = [delay for _, _, source, delay in taken.values() if source != "s0"]
    burst = [delay for _, _, source, delay in taken.values() if source == "s0"]
    last = max(one.landed_at + timedelta(seconds=delay) for _, one, _, delay in taken.values()
               if (one.landed_at - START).total_seconds() < BURST.stop)  # fmt: skip
    overtaken = 0
    for file, (batch, one, source, _) in taken.items():
        second = int((one.landed_at - START).total_seconds()) + RETRY_SECONDS
        retry = taken.get(f"{source}-{second:05d}-{file.rpartition('-')[2]}")
        overtaken += retry is not None and retry[0] < batch
    return Outcome(
        others_within_limit=_within(others),
        all_within_limit=_within(others + burst),
        others_worst_seconds=max(others),
        burst_worst_seconds=max(burst),
        watermark_worst_seconds=lag,
        overtaken=overtaken,
        caught_up_seconds=(last - START).total_seconds() - BURST.stop,
    )


def _within(delays: Sequence[float]) -> float:
    return sum(delay <= LIMIT_SECONDS for delay in delays) / len(delays)


def _fill(slices: Sequence[Slice]) -> list[Slice]:
    sizes = accumulate(one.byte_end for one in slices)
    return [one for one, size in zip(slices, sizes, strict=True) if size <= BATCH_BYTES]


def _file(name: str, second: int) -> Slice:
    landed_at = START + timedelta(seconds=second)
    return Slice("", f"{name}.csv", "csv", START.date(), landed_at, landed_at, landed_at, 0,
                 FILE_BYTES, 1)  # fmt: skip


if __name__ == "__main__":
    for order in (OLDEST_FIRST, NEWEST_FIRST, FAIR):
        print(order.__name__.lower(), simulate(order))
