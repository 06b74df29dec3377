"""One named function per schedule: when a job runs by the clock, and why not.

Add one here when something should happen at a time, whether or not anything landed.
"""

from datetime import UTC, timedelta
from functools import partial

import dagster as dg

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.probe_errors import TickTakenError
from opsmeter_pipeline.orchestration.instance import runs_under_way
from opsmeter_pipeline.orchestration.jobs import (
    BUDGET_JOB_NAME,
    DIGEST_JOB_NAME,
    DOUBLES_JOB_NAME,
    DRIFT_JOB_NAME,
    DRIVERS_JOB_NAME,
    MAINTAIN_JOB_NAME,
    PROBE_JOB_NAME,
    QUALITY_JOB_NAME,
    SILENCE_JOB_NAME,
    SPIKES_JOB_NAME,
    tell_week,
)
from opsmeter_pipeline.orchestration.probing import send_probe
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.probe import INTERVAL, LOST
from opsmeter_pipeline.storage.budget import find_due
from opsmeter_pipeline.storage.quality import is_installed

QUALITY_CRON = "17 * * * *"
"""Hourly, off the full hour at which producers roll their files over."""

DRIVERS_CRON = "37 1 * * *"
"""Daily, when yesterday's files have had an hour and a half to land."""
SILENCE_CRON = "7 * * * *"
"""Hourly, after the look that the sensor writes down once an hour when nothing lands."""
DOUBLES_CRON = "47 * * * *"
"""Hourly, half an hour from the job `quality`, with which it shares a slot."""
MAINTAIN_CRON = "27 * * * *"
"""Hourly: what an hour of small batches leaves is merged in seconds, a month of it in minutes."""
PROBE_CRON = "*/5 * * * *"
PROBES_DAILY_CRON = "57 0 * * *"
"""Daily, when each probe of yesterday has been seen or given up."""
BUDGET_CRON = "*/5 * * * *"
"""As often as freshness is promised by default; most ticks find nothing new and start no run."""

DRIFT_CRON = "12 * * * *"
"""Hourly: a deploy is to be judged within the hour. Not after each batch, which may be every few
seconds: a look at a year of 500 endpoints takes as long as a batch."""
DIGEST_CRON = "0 6 * * 1"
"""Monday morning in UTC, when Sunday's files have had six hours to land."""
SPIKES_CRON = "33 * * * *"
"""Hourly, when the hour before has had time to land; what lands later is judged an hour later."""

# Running from the start: a promise that nobody holds is none.
_schedule = partial(
    dg.schedule, execution_timezone="UTC", default_status=dg.DefaultScheduleStatus.RUNNING
)


@_schedule(
    job_name=QUALITY_JOB_NAME,
    cron_schedule=QUALITY_CRON,
    description="Holds all that is published to its promises, hourly, apart from the ingest runs.",
)
def quality_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for one run, unless one is still under way or the extra is missing; the tick says so."""
    if not is_installed():
        return dg.SkipReason("Not installed: pip install 'opsmeter-pipeline[quality]'.")
    return _one_at_a_time(context, QUALITY_JOB_NAME)


@_schedule(
    job_name=DRIVERS_JOB_NAME,
    cron_schedule=DRIVERS_CRON,
    description="Explains yesterday's and the last week's cost, daily, apart from the ingest runs.",
)
def drivers_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ask for one run: the windows that end with the midnight before the tick."""
    day = context.scheduled_execution_time.astimezone(UTC).date()
    return dg.RunRequest(partition_key=day.isoformat())


@_schedule(
    job_name=DOUBLES_JOB_NAME,
    cron_schedule=DOUBLES_CRON,
    description="Looks hourly for calls that two layers reported under two ids.",
)
def doubles_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for one run, unless one is still under way."""
    return _one_at_a_time(context, DOUBLES_JOB_NAME)


@_schedule(
    job_name=DRIFT_JOB_NAME,
    cron_schedule=DRIFT_CRON,
    description="Compares each prompt version with its baseline, hourly.",
)
def drift_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for one run, unless one is still under way."""
    return _one_at_a_time(context, DRIFT_JOB_NAME)


@_schedule(
    job_name=SPIKES_JOB_NAME,
    cron_schedule=SPIKES_CRON,
    description="Looks hourly for hours and days far above their own past.",
)
def spikes_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for one run, unless one is still under way."""
    return _one_at_a_time(context, SPIKES_JOB_NAME)


@_schedule(
    job_name=DIGEST_JOB_NAME,
    cron_schedule=DIGEST_CRON,
    description="Tells the last 7 full days against the 7 before, on Monday mornings.",
)
def digest_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ask for one run: of the week that ended with the midnight before the tick."""
    day = context.scheduled_execution_time.astimezone(UTC).date() - timedelta(days=7)
    return dg.RunRequest(run_key=day.isoformat(), run_config=tell_week(day))


@_schedule(
    job_name=SILENCE_JOB_NAME,
    cron_schedule=SILENCE_CRON,
    description="Looks hourly whether a producer is silent; when all are, no ingest run does.",
)
def silence_schedule() -> dg.RunRequest:
    """Ask for one run."""
    return dg.RunRequest()


@_schedule(
    job_name=MAINTAIN_JOB_NAME,
    cron_schedule=MAINTAIN_CRON,
    description="Merges small files, expires old snapshots and trims run history, hourly.",
)
def maintain_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask for one run, unless one is still under way."""
    return _one_at_a_time(context, MAINTAIN_JOB_NAME)


@_schedule(
    job_name=PROBE_JOB_NAME,
    cron_schedule=PROBE_CRON,
    description="Lands a probe every five minutes, as a client would. It starts no run.",
)
def probe_schedule(context: dg.ScheduleEvaluationContext, home: HomeResource) -> dg.SkipReason:
    """Send one probe for this tick, unless another daemon has; the sensor `probing` looks for it.

    It works in the tick itself: a run takes seconds to start, and a slot from those that publish.
    """
    settings, scheduled_at = home.settings, context.scheduled_execution_time.astimezone(UTC)
    if not settings.probe:
        return dg.SkipReason("Probes are off: OPSMETER_PROBE is false.")
    if utc_now() - scheduled_at >= INTERVAL:
        return dg.SkipReason("This tick is past; a probe sent now would be the next one's.")
    try:
        probe = send_probe(home.lake, settings, scheduled_at=scheduled_at)
    except TickTakenError as exc:
        return dg.SkipReason(str(exc))
    if probe.state == LOST:
        return dg.SkipReason(f"Lost: {probe.probe_id}; {probe.detail}")
    return dg.SkipReason(f"Sent {probe.probe_id} as {probe.file}.")


@_schedule(
    job_name=PROBE_JOB_NAME,
    cron_schedule=PROBES_DAILY_CRON,
    description="Sums up yesterday's probes, daily.",
)
def probes_daily_schedule() -> dg.RunRequest:
    """Ask for one run."""
    return dg.RunRequest()


@_schedule(
    job_name=BUDGET_JOB_NAME,
    cron_schedule=BUDGET_CRON,
    description="Computes how budgets stand once something was published, or an hour or period is "
    "over.",
)
def budget_schedule(
    context: dg.ScheduleEvaluationContext, home: HomeResource
) -> dg.RunRequest | dg.SkipReason:
    """Ask for one run if the table is not as it should be now, unless one is under way."""
    why = find_due(home.lake, home.settings.budget, now=utc_now())
    if why is None:
        return dg.SkipReason("Budgets are as they were computed, or there are none.")
    return _one_at_a_time(context, BUDGET_JOB_NAME)


def _one_at_a_time(
    context: dg.ScheduleEvaluationContext, job_name: str
) -> dg.RunRequest | dg.SkipReason:
    under_way = runs_under_way(context.instance, job_name)
    if under_way:
        return dg.SkipReason(f"Run {under_way[0].run_id} is still under way.")
    return dg.RunRequest()
