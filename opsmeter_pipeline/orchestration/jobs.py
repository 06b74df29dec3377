"""The jobs: which assets run together, and how a run is told what to take."""

from collections.abc import Sequence
from datetime import date
from enum import Enum
from functools import partial, reduce
from operator import sub

import dagster as dg

from opsmeter_pipeline.model.tables import (
    BUDGET_CHANGES,
    BUDGET_STATUS,
    COST_DRIVERS,
    DOUBLE_INSTRUMENTATION,
    PROMPT_VERSION_DRIFT,
    PROMPT_VERSION_FINDINGS,
    RESTATEMENTS,
    SPIKES,
    TRACKING_HOURLY,
    VERDICT_CHANGES,
)
from opsmeter_pipeline.quality import describe_checks, name_check
from opsmeter_pipeline.views import PROBES_DAILY

INGEST_JOB_NAME = "ingest"
QUALITY_JOB_NAME = "quality"
DRIVERS_JOB_NAME = "drivers"
SILENCE_JOB_NAME = "silence"
DOUBLES_JOB_NAME = "doubles"
SPIKES_JOB_NAME = "spikes"
DIGEST_JOB_NAME = "digest"
WEEKLY_DIGEST = "weekly_digest"
REPRICE_JOB_NAME = "reprice"
PROBE_JOB_NAME = "probe"
BUDGET_JOB_NAME = "budget"
DRIFT_JOB_NAME = "drift"
MAINTAIN_JOB_NAME = "maintain"
JOB_NAMES = (
    *(INGEST_JOB_NAME, QUALITY_JOB_NAME, DRIVERS_JOB_NAME, SILENCE_JOB_NAME, DOUBLES_JOB_NAME),
    *(SPIKES_JOB_NAME, DIGEST_JOB_NAME, REPRICE_JOB_NAME, PROBE_JOB_NAME, BUDGET_JOB_NAME),
    *(DRIFT_JOB_NAME, MAINTAIN_JOB_NAME),
)
PUBLISH_POOL = "publish"
"""One run at a time, of whatever kind, publishes."""
QUALITY_POOL = "quality"
"""One run at a time judges what is published, in the job `quality` or `doubles`; it waits for no
publisher and no publisher for it."""
LANDED_SLICES = "landed_slices"
REPRICED_EVENTS = "repriced_events"


class Take(Enum):
    """What of an ingest day a run takes."""

    NEW = "new"
    DAY = "day"
    BATCHES = "batches"


class TakeConfig(dg.Config):
    """What a run takes: what is `new`, the whole `day` again with what is new, or `batches` again.

    The sensor and `opsmeter run` say `new`, `opsmeter replay` says `batches` and names them. A
    backfill from the UI says nothing and so replays the day.
    """

    take: Take = Take.DAY
    batches: list[str] | None = None


class RepriceConfig(dg.Config):
    """Which published events are priced again, and why; what is not told is all.

    The days are UTC days of event time, as `2026-11-23`, both included. Events that have a price
    are left alone unless `priced_too`.
    """

    first_day: str | None = None
    last_day: str | None = None
    provider: str | None = None
    model: str | None = None
    priced_too: bool = False
    reason: str = "prices are known that were not"
    asked_by: str = "the Dagster UI"


class WeekConfig(dg.Config):
    """Which week a digest is of: its first UTC day as `2026-11-16`; else the last 7 full days."""

    first_day: str | None = None


def take_new(*, log_level: str = "INFO") -> dg.RunConfig:
    """Return the run configuration of a normal run; the level is of what it prints."""
    return _configure(LANDED_SLICES, TakeConfig(take=Take.NEW), log_level)


def take_batches(batch_ids: Sequence[str], *, log_level: str = "INFO") -> dg.RunConfig:
    """Return the run configuration of a replay: these batches of the run's day, nothing new."""
    return _configure(LANDED_SLICES, TakeConfig(take=Take.BATCHES, batches=[*batch_ids]), log_level)


def reprice_as(config: RepriceConfig, *, log_level: str = "INFO") -> dg.RunConfig:
    """Return the run configuration of a reprice."""
    return _configure(REPRICED_EVENTS, config, log_level)


def run_as_is(*, log_level: str = "INFO") -> dg.RunConfig:
    """Return the run configuration of a job that is told nothing."""
    return dg.RunConfig(loggers=_log_at(log_level))


def tell_week(first_day: date) -> dg.RunConfig:
    """Return the run configuration of a digest."""
    return dg.RunConfig(ops={WEEKLY_DIGEST: WeekConfig(first_day=first_day.isoformat())})


def _configure(op: str, config: dg.Config, log_level: str) -> dg.RunConfig:
    return dg.RunConfig(ops={op: config}, loggers=_log_at(log_level))


def _log_at(level: str) -> dict[str, dict[str, dict[str, str]]]:
    return {"console": {"config": {"log_level": level}}}


_define_job = partial(dg.define_asset_job, executor_def=dg.in_process_executor)
_QUALITY_CHECKS = dg.AssetSelection.checks(
    *(dg.AssetCheckKey(dg.AssetKey(table), name_check(kind)) for table, kind in describe_checks())
)

_DRIVERS = dg.AssetSelection.assets(COST_DRIVERS.name)
_DOUBLES = dg.AssetSelection.assets(DOUBLE_INSTRUMENTATION.name)
_DRIFT = dg.AssetSelection.assets(
    PROMPT_VERSION_DRIFT.name, PROMPT_VERSION_FINDINGS.name, VERDICT_CHANGES.name
)
_SPIKES = dg.AssetSelection.assets(SPIKES.name)
_DIGEST = dg.AssetSelection.assets(WEEKLY_DIGEST)
_RESTATEMENTS = dg.AssetSelection.assets(RESTATEMENTS.name)
_PROBES_DAILY = dg.AssetSelection.assets(PROBES_DAILY.name)
_BUDGETS = dg.AssetSelection.assets(BUDGET_STATUS.name, BUDGET_CHANGES.name)

_BY_THEMSELVES = (
    *(_DRIVERS, _DRIFT, _SPIKES, _DIGEST, _DOUBLES),
    *(_RESTATEMENTS, _PROBES_DAILY, _BUDGETS, _QUALITY_CHECKS),
)
"""What jobs of their own make, off the ingest path."""

ingest_job = _define_job(
    INGEST_JOB_NAME,
    selection=reduce(sub, _BY_THEMSELVES, dg.AssetSelection.all()),
    description="Take one batch of landed lines to the tables people read.",
)

quality_job = _define_job(
    QUALITY_JOB_NAME,
    selection=_QUALITY_CHECKS,
    description="Hold all that is published to its promises, with Great Expectations.",
)

drivers_job = _define_job(
    DRIVERS_JOB_NAME,
    selection=_DRIVERS - _QUALITY_CHECKS,
    description="Explain what a day and a week cost against the ones before, from the cube.",
)

drift_job = _define_job(
    DRIFT_JOB_NAME,
    selection=_DRIFT - _QUALITY_CHECKS,
    description="Compare each prompt version with its baseline, from the cube.",
)

doubles_job = _define_job(
    DOUBLES_JOB_NAME,
    selection=_DOUBLES - _QUALITY_CHECKS,
    description="Look for calls that two layers reported under two ids.",
)

spikes_job = _define_job(
    SPIKES_JOB_NAME,
    selection=_SPIKES - _QUALITY_CHECKS,
    description="Look for hours and days far above their own past, and for what drove them.",
)

digest_job = _define_job(
    DIGEST_JOB_NAME,
    selection=_DIGEST,
    description="Tell a week on one page: files in the home, and a message to each sink.",
)

reprice_job = _define_job(
    REPRICE_JOB_NAME,
    selection=_RESTATEMENTS - _QUALITY_CHECKS,
    description="Price published events again by the prices in force now, because a person asks.",
)

probe_job = _define_job(
    PROBE_JOB_NAME,
    selection=_PROBES_DAILY - _QUALITY_CHECKS,
    description="Sum up the probes by day, with a plot.",
)

budget_job = _define_job(
    BUDGET_JOB_NAME,
    selection=_BUDGETS - _QUALITY_CHECKS,
    description="Compute how budgets stand, and what is to come of them, from the cube.",
)

silence_job = _define_job(
    SILENCE_JOB_NAME,
    selection=dg.AssetSelection.checks(
        dg.AssetCheckKey(dg.AssetKey(TRACKING_HOURLY.name), "quiet_producer")
    ),
    description="Look whether a producer is silent, also when nobody lands anything.",
)
