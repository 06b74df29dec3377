"""One named function per sensor: when a run is started, and why not.

A sensor looks and decides, and may write down that it looked; it never reads telemetry. Add one
here when something other than landed files should start a run or raise an alert.
"""

import dagster as dg

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.orchestration.alerting import Moment, describe_tick, tick
from opsmeter_pipeline.orchestration.instance import runs_under_way
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME, take_new
from opsmeter_pipeline.orchestration.probing import describe_look, keep_looking
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.settings import load_settings
from opsmeter_pipeline.storage.backlog import read_backlog
from opsmeter_pipeline.storage.lateness import note_look
from opsmeter_pipeline.storage.survey import survey_landing

TICK_SECONDS = 5
PROBING_SECONDS = 45
"""How long a tick looks for young probes; with a last answer it stays below Dagster's 60 s."""
BACKLOG_TAG = "opsmeter/backlog"


@dg.sensor(
    job_name=INGEST_JOB_NAME,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a run when something new has landed and no run is under way.",
)
def landing_sensor(
    context: dg.SensorEvaluationContext, home: HomeResource
) -> dg.SensorResult | dg.SkipReason:
    """Ask for one run of the ingest day whose turn it is, if it has something new.

    What waited then, and until when, is tagged on the run and kept as the cursor, so that
    ticks during the run show it without another look. When there is nothing, hours still turn final
    with time: that is written down, once an hour.
    """
    now, settings = utc_now(), home.settings
    # Asked first: a killed run is marked as failed next, and that is no reason to wait.
    last = _last_failure(context.instance, now.timestamp())
    under_way = runs_under_way(context.instance, INGEST_JOB_NAME)
    if under_way:
        waited = f" Before it: {context.cursor}." if context.cursor else ""
        run_id = under_way[0].run_id
        return dg.SkipReason(f"Run {run_id} is under way; one batch at a time.{waited}")
    pause = last + settings.retry_seconds - now.timestamp()
    if pause > 0:
        return dg.SkipReason(f"The last run failed; trying again in {pause:.0f} s.")
    survey = survey_landing(home.landing_files(), home.lake, settings=settings, now=now)
    day = survey.next_day(settings)
    if day is None:
        note_look(home.lake, survey.watermark(home.lake, settings))
        return dg.SkipReason(f"Nothing new in {settings.landing_root}.")
    waits = read_backlog(survey, home.lake, settings).describe()
    request = dg.RunRequest(
        partition_key=day.isoformat(), run_config=take_new(), tags={BACKLOG_TAG: waits}
    )
    return dg.SensorResult([request], cursor=waits)


class _AlertingSensor(dg.SensorDefinition):
    """A sensor whose interval is a setting, asked for when Dagster loads it and not at import."""

    @property
    def minimum_interval_seconds(self) -> int:
        return load_settings().alerting_seconds


def _look_for_what_is_wrong(
    context: dg.SensorEvaluationContext, home: HomeResource
) -> dg.SkipReason:
    """Do one tick of the alerts and say what came of it.

    It works in the tick itself: a run takes seconds to start, and would wait in the queue behind
    the very run that hangs.
    """
    done = tick(Moment(home, context.instance, utc_now(), by="sensor"))
    return dg.SkipReason(describe_tick(done))


@dg.sensor(
    name="probing",
    minimum_interval_seconds=TICK_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks for probes on the page, and notes who is seen or lost. It starts no run.",
)
def probing_sensor(home: HomeResource) -> dg.SkipReason:
    """Ask the page for the probes that it has not shown, every second while one is young.

    It waits in the tick, so that the moment a probe is seen is known to about a second. Sensors
    tick in threads of their own, so nobody waits for it.
    """
    return dg.SkipReason(
        describe_look(keep_looking(home.lake, home.settings, seconds=PROBING_SECONDS))
    )


alerting_sensor = _AlertingSensor(
    name="alerting",
    evaluation_fn=_look_for_what_is_wrong,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks for what is wrong, keeps incidents, and tells people. It starts no run.",
)


def _last_failure(instance: dg.DagsterInstance, now_seconds: float) -> float:
    """Return when the newest run failed (epoch seconds); long ago if it did not."""
    last = instance.get_run_records(dg.RunsFilter(job_name=INGEST_JOB_NAME), limit=1)
    if not last or last[0].dagster_run.status != dg.DagsterRunStatus.FAILURE:
        return 0
    return last[0].end_time or now_seconds
