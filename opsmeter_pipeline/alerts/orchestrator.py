"""What the orchestrator's own records say: runs that failed, and what does not tick any more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from opsmeter_pipeline.model.condition import CRITICAL, WARNING, Condition, Key

RUN_FAILED = "run_failed"
NOT_TICKING = "not_ticking"
TICK_FAILED = "tick_failed"
CRITICAL_FAILURES = 3
"""As many failed runs of the job that takes lines, none of them repaired, are critical."""
FAILED_TICKS = 3
"""As many ticks in a row must fail; one alone is tried again within seconds."""


@dataclass(frozen=True)
class FailedRun:
    """A run that failed and that no later success has made good.

    Attributes:
        run_id: the run.
        job: its job.
        ended_at: when it failed (UTC).
    """

    run_id: str
    job: str
    ended_at: datetime


@dataclass(frozen=True)
class Beat:
    """The last sign of life of a daemon or sensor.

    Attributes:
        name: such as `daemon:SENSOR` or `sensor:landing_sensor`.
        last_at: when it was (UTC).
        limit: how long it may be silent.
        is_stopped: a person has stopped it in the UI.
    """

    name: str
    last_at: datetime
    limit: timedelta
    is_stopped: bool = False


@dataclass(frozen=True)
class FailingTicks:
    """A sensor whose newest ticks have all failed.

    Attributes:
        name: such as `sensor:landing_sensor`.
        first_at: when the oldest of them was (UTC).
        ticks: how many in a row, of those that were looked at.
        error: what the newest one said.
    """

    name: str
    first_at: datetime
    ticks: int
    error: str


def judge_failed_runs(failed: Iterable[FailedRun], *, critical_job: str) -> list[Condition]:
    """Return a condition for each job with failed runs that are not made good.

    Args:
        failed: such runs.
        critical_job: the job without which nothing becomes visible.
    """
    by_job: dict[str, list[FailedRun]] = {}
    for run in sorted(failed, key=lambda one: one.ended_at):
        by_job.setdefault(run.job, []).append(run)
    return [_condition_of_runs(job, runs, job == critical_job) for job, runs in by_job.items()]


def _condition_of_runs(job: str, runs: Sequence[FailedRun], can_be_critical: bool) -> Condition:  # noqa: FBT001 - private
    is_critical = can_be_critical and len(runs) >= CRITICAL_FAILURES
    return Condition(
        Key(f"job:{job}", RUN_FAILED, "7d"),
        CRITICAL if is_critical else WARNING,
        since_at=runs[0].ended_at,
        value=len(runs),
        limit=0,
        unit="runs",
        what=f"Failed runs of `{job}` that no later run has made good.",
        next_step="Read the run's first failed step in the Dagster UI, mend it, run it again.",
        run_id=runs[-1].run_id,
    )


def judge_beats(
    beats: Iterable[Beat], *, watching_since: datetime, now: datetime
) -> list[Condition]:
    """Return a condition for each daemon or sensor that has been silent for too long.

    Without a living sensor daemon no sensor can tick, and only the daemon is named.

    Args:
        beats: the last sign of life of each.
        watching_since: silence before this instant (UTC) does not count: nothing was running.
        now: the present (UTC).
    """
    silent = [one for one in beats if now - max(one.last_at, watching_since) > one.limit]
    dead = [one for one in silent if one.name.startswith("daemon:")]
    return [_condition_of_silence(one, now) for one in dead or silent]


def _condition_of_silence(beat: Beat, now: datetime) -> Condition:
    stopped = " A person has stopped it." if beat.is_stopped else ""
    next_step = "opsmeter up" if beat.name.startswith("daemon:") else "Start it in the Dagster UI."
    return Condition(
        Key(beat.name, NOT_TICKING, "now"),
        CRITICAL,
        since_at=beat.last_at + beat.limit,
        value=round((now - beat.last_at).total_seconds(), 1),
        limit=beat.limit.total_seconds(),
        unit="seconds",
        what=f"{beat.name} has given no sign of life since {beat.last_at:%Y-%m-%d %H:%M:%S}Z."
        f"{stopped}",
        next_step=next_step,
    )


def judge_failing_ticks(failing: Iterable[FailingTicks]) -> list[Condition]:
    """Return a condition for each sensor whose ticks fail one after the other."""
    return [
        Condition(
            Key(one.name, TICK_FAILED, "now"),
            CRITICAL,
            since_at=one.first_at,
            value=one.ticks,
            limit=FAILED_TICKS - 1,
            unit="ticks",
            what=f"The ticks of {one.name} fail: {one.error}",
            next_step="Read the tick's error in the Dagster UI, under Automation.",
        )
        for one in failing
        if one.ticks >= FAILED_TICKS
    ]
