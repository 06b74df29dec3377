"""The worker that takes lines is killed: alone while its daemon lives, or with everything else."""

import os
import signal
import time

import dagster as dg

from opsmeter_pipeline.drills.drill import HUMP_SECONDS, Drill, Scene
from opsmeter_pipeline.drills.ground import kill
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.drill_errors import DrillStuckError
from opsmeter_pipeline.orchestration.instance import find_worker
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME

RETRY_SECONDS = 15
_CRON_SECONDS = 5.0
_MET = "a run was met with its batch half taken"
_WATCH_SECONDS = 0.05
_PUBLISHED = "SELECT count(*) FROM ingest_batches WHERE run_id = ?"
_AT_WORK = dg.RunsFilter(job_name=INGEST_JOB_NAME, statuses=[dg.DagsterRunStatus.STARTED])


def _kill_worker(scene: Scene) -> str:
    run_id, pid = _stop_mid_run(scene)
    scene.report.injected_at = utc_now()
    kill(pid)
    return f"SIGKILL of process {pid}, the worker of run {run_id[:8]}, with its batch half taken"


def _kill_everything(scene: Scene) -> str:
    run_id, _ = _stop_mid_run(scene)
    scene.report.injected_at = utc_now()
    number = scene.ground.kill_all()
    return (
        f"SIGKILL of daemon, code servers, UI, page and the worker of run {run_id[:8]} with its "
        f"batch half taken, {number} processes"
    )


def _stop_mid_run(scene: Scene) -> tuple[str, int]:
    """Stop a worker between its first staged lines and its publish; return run and process.

    It is stopped before it is looked whether it has published, so that it cannot meanwhile.

    Raises:
        DrillStuckError: no run was met there.
    """
    deadline = time.monotonic() + scene.ground.patience
    while time.monotonic() < deadline:
        for run in scene.ground.instance.get_runs(_AT_WORK):
            pid, staged = find_worker(run), scene.ground.paths.staging / run.run_id
            if pid and any(staged.rglob("*.parquet")) and _stop_unpublished(scene, run.run_id, pid):
                return run.run_id, pid
        time.sleep(_WATCH_SECONDS)
    raise DrillStuckError(_MET, scene.ground.patience)


def _stop_unpublished(scene: Scene, run_id: str, pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGSTOP)
        if not scene.ground.lake.read(_PUBLISHED, [run_id]).item():
            return True
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass
    return False


def _look_from_cron(scene: Scene) -> None:
    """Do what docs/alerts.md tells cron to do, once the dead-man service has called.

    Not before: that look calls the heartbeat too.
    """
    if any(one.kind == "heartbeat" for one in scene.report.sightings):
        scene.ground.run("alerts", "check")
        time.sleep(_CRON_SECONDS)


def _wait_for_retry(scene: Scene) -> str:
    del scene
    return f"nobody did anything; the landing sensor tries again after {RETRY_SECONDS} s"


def _start_again(scene: Scene) -> str:
    scene.ground.start()
    return "`opsmeter up` was run again, as a person or a supervisor does"


WORKER = Drill(
    name="worker",
    title="the worker that takes lines is killed",
    practises="2. Workers and recent errors",
    expected=("alert:run_failed",),
    inject=_kill_worker,
    mend=_wait_for_retry,
    settings={"retry_seconds": RETRY_SECONDS},
)
DAEMON = Drill(
    name="daemon",
    title="daemon and worker are killed at once, and started again",
    practises="2. Workers and recent errors",
    expected=("heartbeat:silent", "alert:pipeline_stale"),
    set_up=Scene.shorten_staleness,
    settings={"alert_cooldown_seconds": HUMP_SECONDS},
    inject=_kill_everything,
    look=_look_from_cron,
    mend=_start_again,
)
