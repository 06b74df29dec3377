"""What looks at the landing say: it is stale, or its backlog grows.

Both by the landing's own listing, so that a pipeline that stopped is seen at once and not when it
is back. Never by when something was last materialized: a backfill would look fresh.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsmeter_pipeline.model.condition import CRITICAL, WARNING, Condition, Key
from opsmeter_pipeline.model.watermark import Watermark

STALE = "pipeline_stale"
BACKLOG = "backlog_growing"
_PIPELINE = "pipeline"


@dataclass(frozen=True)
class StaleLimits:
    """When what landed waits too long.

    Attributes:
        objective: how long a landed file may wait; the freshness objective.
        critical_factor: from how many times that on it is critical.
    """

    objective: timedelta = timedelta(minutes=5)
    critical_factor: int = 3


@dataclass(frozen=True)
class BacklogLimits:
    """When a backlog grows.

    Attributes:
        window: how far back looks are compared.
        min_looks: looks in it below which nothing is said.
        min_bytes: what must wait at least, or
        min_files: so many files. Less is taken by the next run or two.
    """

    window: timedelta = timedelta(minutes=10)
    min_looks: int = 6
    min_bytes: int = 64 * 1024**2
    min_files: int = 200


@dataclass(frozen=True)
class LandingLook:
    """What one look at the landing saw, kept for the next ones.

    Attributes:
        by: who looked: `sensor` or `check`.
        watermark: how far everything is visible.
        waiting_bytes: stored bytes that wait.
    """

    by: str
    watermark: Watermark
    waiting_bytes: int


STALE_LIMITS = StaleLimits()
BACKLOG_LIMITS = BacklogLimits()


def judge_stale(
    watermark: Watermark, *, now: datetime, limits: StaleLimits = STALE_LIMITS
) -> list[Condition]:
    """Return a condition if something that landed waits for longer than the objective."""
    lag = now - watermark.complete_through
    if not watermark.waiting_files or lag <= limits.objective:
        return []
    is_critical = lag > limits.objective * limits.critical_factor
    return [
        Condition(
            Key(_PIPELINE, STALE, "now"),
            CRITICAL if is_critical else WARNING,
            since_at=watermark.complete_through + limits.objective,
            value=round(lag.total_seconds(), 1),
            limit=limits.objective.total_seconds(),
            unit="seconds",
            what=f"What landed at {watermark.complete_through:%Y-%m-%d %H:%M:%S}Z is not visible "
            f"yet; {watermark.waiting_files} files wait.",
            next_step="opsmeter status, then the newest run of `ingest` in the Dagster UI",
        )
    ]


def judge_backlog(
    looks: Sequence[LandingLook], *, now: datetime, limits: BacklogLimits = BACKLOG_LIMITS
) -> list[Condition]:
    """Return a condition if more and more waits over successive looks.

    Growing is: the least that waited in the later half of the window is more than the most that
    waited in the earlier half. A backlog that is taken in large bites goes up and down and is none.

    Args:
        looks: looks of the window and before, in any order.
        now: the present (UTC).
        limits: when it counts.
    """
    recent = sorted(
        (one for one in looks if now - limits.window <= one.watermark.looked_at <= now),
        key=lambda one: one.watermark.looked_at,
    )
    if len(recent) < limits.min_looks or not _spans(recent, limits.window / 2):
        return []
    waits = {
        "bytes": ([one.waiting_bytes for one in recent], limits.min_bytes),
        "files": ([one.watermark.waiting_files for one in recent], limits.min_files),
    }
    growing = {unit: held for unit, held in waits.items() if _grows(*held)}
    for unit, (held, least) in growing.items():
        return [
            Condition(
                Key(_PIPELINE, BACKLOG, "10m"),
                WARNING,
                since_at=recent[0].watermark.looked_at,
                value=held[-1],
                limit=least,
                unit=unit,
                what=f"More lands than is taken: {held[0]:,} {unit} waited, now {held[-1]:,} do.",
                next_step="opsmeter status; if runs succeed, give them more: OPSMETER_BATCH_BYTES",
            )
        ]
    return []


def _spans(looks: Sequence[LandingLook], length: timedelta) -> bool:
    return looks[-1].watermark.looked_at - looks[0].watermark.looked_at >= length


def _grows(held: Sequence[int], least: int) -> bool:
    middle = len(held) // 2
    return held[-1] >= least and min(held[middle:]) > max(held[:middle])
