"""What Dagster's instance has written down of runs, checks, sensors and daemons, as plain values.

Reading only, a few small queries each, so that a tick of the alerts can afford them. What is wrong
with it is judged in the `alerts` stage.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import cast

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorTick,
    SensorInstigatorData,
    TickStatus,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from opsmeter_pipeline.alerts.orchestrator import FAILED_TICKS, Beat, FailedRun, FailingTicks
from opsmeter_pipeline.alerts.quarantine import Judged
from opsmeter_pipeline.model.tables import TRACKING_HOURLY
from opsmeter_pipeline.orchestration.jobs import JOB_NAMES

_LOOKED_BACK = timedelta(days=7)
_FAILURES = 100
_OF_A_JOB = 10
"""How many failures of each job are read if those of all together are more than `_FAILURES`."""
_DAEMON_LIMIT = timedelta(seconds=180)
"""Six of Dagster's heartbeats; its own limit of half an hour is for its UI."""
_SENSOR_LIMIT = timedelta(seconds=120)
_MISSED_TICKS = 10
_LONGEST_ERROR = 200
_JUDGED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
BACKFILL = "dagster/backfill"
PARTITION = "dagster/partition"
_SHIFT = dg.AssetCheckKey(dg.AssetKey(TRACKING_HOURLY.name), "quarantine_shift")


def read_failed_runs(instance: dg.DagsterInstance, *, now: datetime) -> list[FailedRun]:
    """Return the failed runs of the last 7 days that no later success has made good.

    A success of the same job makes a failure good; that of a backfill, only one of its partition.
    """
    last: dict[tuple[str, str | None], float] = {}
    found: list[FailedRun] = []
    for record in _read_failures(instance, since=now - _LOOKED_BACK):
        run = record.dagster_run
        partition = run.tags.get(PARTITION) if BACKFILL in run.tags else None
        key = (run.job_name, partition)
        if key not in last:
            last[key] = _last_success(instance, *key)
        ended = record.end_time or record.update_timestamp.timestamp()
        if ended > last[key]:
            found.append(FailedRun(run.run_id, run.job_name, _instant(ended)))
    return found


def _read_failures(instance: dg.DagsterInstance, *, since: datetime) -> Iterator[dg.RunRecord]:
    """Yield the newest failures of each job, so that one that always fails hides no other's.

    What a person starts in the UI for single assets is a job without a name of ours.
    """

    def read(limit: int, job: str | None = None) -> Sequence[dg.RunRecord]:
        failed = [dg.DagsterRunStatus.FAILURE]
        asked = dg.RunsFilter(job_name=job, statuses=failed, updated_after=since)
        return instance.get_run_records(asked, limit=limit)

    newest = read(_FAILURES)
    yield from newest
    if len(newest) == _FAILURES:
        told = {record.dagster_run.run_id for record in newest}
        for record in chain.from_iterable(read(_OF_A_JOB, job) for job in JOB_NAMES):
            if record.dagster_run.run_id not in told:
                yield record


def read_run_error(instance: dg.DagsterInstance, run_id: str) -> str | None:
    """Return what a failed run's last failed step, or the run itself, said; None if nothing."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    for entry in reversed(instance.all_logs(run_id, of_type=kinds)):
        event = entry.dagster_event
        if event is None:
            continue
        data = event.event_specific_data
        error = getattr(data, "error", None)
        said = (error.cause or error).message if error else event.message
        if said:
            return " ".join(said.split())[:_LONGEST_ERROR]
    return None


def _last_success(instance: dg.DagsterInstance, job: str, partition: str | None) -> float:
    tags = {PARTITION: partition} if partition else {}
    done = instance.get_run_records(
        dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS], tags=tags), limit=1
    )
    return max((record.end_time or 0 for record in done), default=0)


def read_daemon_beats(instance: dg.DagsterInstance) -> list[Beat]:
    """Return the last heartbeat of each daemon that this instance needs and that ever lived."""
    needed = set(instance.get_required_daemon_types())
    return [
        Beat(f"daemon:{name}", _instant(heartbeat.timestamp), _DAEMON_LIMIT)
        for name, heartbeat in instance.get_daemon_heartbeats().items()
        if name in needed
    ]


def read_sensor_beats(instance: dg.DagsterInstance) -> list[Beat]:
    """Return the last tick of each sensor that ever ticked."""
    return [
        Beat(
            f"sensor:{state.instigator_name}",
            _instant(ticked),
            max(_SENSOR_LIMIT, timedelta(seconds=_MISSED_TICKS * (data.min_interval or 0))),
            is_stopped=state.status == InstigatorStatus.STOPPED,
        )
        for state in _sensors(instance)
        if isinstance(data := state.instigator_data, SensorInstigatorData)
        and (ticked := data.last_tick_timestamp)
    ]


def read_failing_ticks(instance: dg.DagsterInstance) -> list[FailingTicks]:
    """Return the running sensors whose newest ticks have all failed."""
    return [*_find_failing(instance)]


def _find_failing(instance: dg.DagsterInstance) -> Iterator[FailingTicks]:
    for state in _sensors(instance):
        if state.status == InstigatorStatus.STOPPED:
            continue
        over = [TickStatus.FAILURE, TickStatus.SUCCESS, TickStatus.SKIPPED]
        ticks = instance.get_ticks(
            state.instigator_origin_id, state.selector_id, limit=FAILED_TICKS, statuses=over
        )
        if ticks and all(tick.status == TickStatus.FAILURE for tick in ticks):
            first = min(tick.timestamp for tick in ticks)
            name = f"sensor:{state.instigator_name}"
            yield FailingTicks(name, _instant(first), len(ticks), _error_of(ticks[0]))


def read_failing_schedules(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return what the newest tick said, of each running schedule whose newest tick failed."""
    failing: dict[str, str] = {}
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
        if state.status == InstigatorStatus.STOPPED:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if ticks and ticks[0].status == TickStatus.FAILURE:
            failing[state.instigator_name] = _error_of(ticks[0])
    return failing


def is_schedule_running(instance: dg.DagsterInstance, name: str) -> bool:
    """Return whether a scheduler knows a schedule and nobody has stopped it."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return any(
        one.instigator_name == name and one.status != InstigatorStatus.STOPPED for one in states
    )


def read_quarantine_shift(instance: dg.DagsterInstance) -> Judged | None:
    """Return what the check said last, or None if it never judged a run.

    A run plans its checks when it is created, and one that dies leaves them planned: that says
    nothing, and what was said before stands.
    """
    found = instance.event_log_storage.get_asset_check_execution_history(_SHIFT, 1, status=_JUDGED)
    record = found[0] if found else None
    event = record.event.dagster_event if record and record.event else None
    if not record or not event:
        return None
    said = event.asset_check_evaluation_data
    culprits = said.metadata.get("culprits")
    rows = cast("list[dict[str, object]]", culprits.value if culprits else [])
    return Judged(
        passed=said.passed,
        judged_at=_instant(record.create_timestamp),
        summary=said.description or "The check quarantine_shift failed.",
        broken_lines=sum(int(str(row.get("broken", 0))) for row in rows),
        run_id=record.run_id,
    )


def _sensors(instance: dg.DagsterInstance) -> Sequence[InstigatorState]:
    return instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)


def _error_of(tick: InstigatorTick) -> str:
    error = (tick.error.message if tick.error else "") or "no error was kept"
    return " ".join(error.split())[:_LONGEST_ERROR]


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
