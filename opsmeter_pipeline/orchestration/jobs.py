"""The jobs: which assets run together, and how a run is told what to take."""

from enum import Enum

import dagster as dg

from opsmeter_pipeline.quality import describe_checks, name_check

INGEST_JOB_NAME = "ingest"
QUALITY_JOB_NAME = "quality"
PUBLISH_POOL = "publish"
"""One run at a time, of whatever kind, publishes."""
QUALITY_POOL = "quality"
"""One run at a time judges what is published; it waits for no publisher and no publisher for it."""
LANDED_SLICES = "landed_slices"


class Take(Enum):
    """What of an ingest day a run takes."""

    NEW = "new"
    DAY = "day"


class TakeConfig(dg.Config):
    """What a run takes: only what is `new`, or the whole `day` again with what is new.

    The sensor and `opsmeter run` say `new`. A backfill from the UI says nothing and so replays
    the day.
    """

    take: Take = Take.DAY


def take_new(*, log_level: str = "INFO") -> dg.RunConfig:
    """Return the run configuration of a normal run; the level is of what it prints."""
    return dg.RunConfig(
        ops={LANDED_SLICES: TakeConfig(take=Take.NEW)},
        loggers={"console": {"config": {"log_level": log_level}}},
    )


_QUALITY_CHECKS = dg.AssetSelection.checks(
    *(dg.AssetCheckKey(dg.AssetKey(table), name_check(kind)) for table, kind in describe_checks())
)

ingest_job = dg.define_asset_job(
    INGEST_JOB_NAME,
    selection=dg.AssetSelection.all() - _QUALITY_CHECKS,
    executor_def=dg.in_process_executor,
    description="Take one batch of landed lines to the tables people read.",
)

quality_job = dg.define_asset_job(
    QUALITY_JOB_NAME,
    selection=_QUALITY_CHECKS,
    executor_def=dg.in_process_executor,
    description="Hold all that is published to its promises, with Great Expectations.",
)
