"""A producer sends 50 times its usual traffic: batches stay bounded and others get their share."""

import time
from datetime import datetime

from opsmeter_pipeline.drills import watch
from opsmeter_pipeline.drills.drill import HUMP_SECONDS, Drill, Scene
from opsmeter_pipeline.drills.traffic import CHECKOUT, EVERY_SECONDS, LINES_A_FILE, SUPPORT
from opsmeter_pipeline.model.clock import utc_now

TIMES = 50
BURST_FILES = 10
BATCH_BYTES = 300_000
"""A fifth of what the burst brings, so that it takes several batches."""
_LARGEST = """
    SELECT count(*), coalesce(max(size_bytes), 0)::BIGINT FROM (
        SELECT batch_id, sum(byte_end - byte_start) AS size_bytes FROM ingest_files
        WHERE batch_id IN (SELECT batch_id FROM ingest_batches WHERE taken_at > ?) GROUP BY batch_id
    )
"""


def _send_burst(scene: Scene) -> str:
    scene.report.injected_at = utc_now()
    for _ in range(BURST_FILES):
        scene.traffic.land(scene.traffic.make(TIMES * LINES_A_FILE, at=utc_now()))
        time.sleep(EVERY_SECONDS)
    return (
        f"{TIMES} times {CHECKOUT}'s usual traffic for {BURST_FILES * EVERY_SECONDS:g} s, "
        f"{BURST_FILES * TIMES * LINES_A_FILE:,} lines"
    )


def _read_estimate(scene: Scene) -> str:
    _, told = scene.ground.run("status")
    backlog = told["backlog"]
    scene.report.figures |= {
        "backlog_state": backlog["state"],
        "waiting_files": backlog["waiting_files"],
        "waiting_bytes": backlog["waiting_bytes"],
        "estimated_after_seconds": _read_estimated(scene, backlog["caught_up_at"]),
        "estimated_by": backlog["how"],
    }
    return f"nobody did anything; `opsmeter status` says {backlog['state']}: {backlog['how']}"


def _read_estimated(scene: Scene, caught_up_at: str | None) -> float | None:
    return scene.report.after(datetime.fromisoformat(caught_up_at)) if caught_up_at else None


def _examine(scene: Scene) -> list[str]:
    """Write down how batches and the other producer fared; return what was not bounded."""
    since = scene.report.injected_at or utc_now()
    ((batches, largest),) = scene.ground.lake.read(_LARGEST, [since]).rows()
    lags = {
        producer: watch.read_worst_lag(scene.ground.lake, since=since, producer=producer)
        for producer in (CHECKOUT, SUPPORT)
    }
    scene.report.figures |= {
        "batches": batches,
        "largest_batch_bytes": largest,
        **{f"worst_lag_{name}_seconds": lag and round(lag, 1) for name, lag in lags.items()},
    }
    problems: list[str] = []
    if largest > BATCH_BYTES:
        problems.append(f"A batch of {largest} bytes is above the limit of {BATCH_BYTES}.")
    if (lags[SUPPORT] or 0) >= (lags[CHECKOUT] or 0):
        problems.append(f"{SUPPORT} waited as long as {CHECKOUT}, whose burst it was.")
    return problems


BURST = Drill(
    name="burst",
    title=f"a producer sends {TIMES} times its traffic",
    practises="2. Workers and recent errors",
    expected=("alert:pipeline_stale",),
    set_up=Scene.shorten_staleness,
    inject=_send_burst,
    mend=_read_estimate,
    examine=_examine,
    settings={"batch_bytes": BATCH_BYTES, "alert_cooldown_seconds": HUMP_SECONDS},
)
