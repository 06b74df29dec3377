"""When Dagster's UI calls an asset stale: nothing has made it for as long as something should have.

For the UI's badge alone. It goes by the newest run and not by the age of the data, so a backfill
of an old day turns it green: what is promised is held by `freshness`, and told by `alerts`.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

import dagster as dg

from opsmeter_pipeline.probe import INTERVAL

_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
_SCHEDULED: Mapping[str, timedelta] = MappingProxyType(
    {
        "budget_status": _HOUR,
        "budget_changes": _HOUR,
        "double_instrumentation": _HOUR,
        "prompt_version_drift": _HOUR,
        "prompt_version_findings": _HOUR,
        "verdict_changes": _HOUR,
        "spikes": _HOUR,
        "cost_drivers": _DAY,
        "probes_daily": _DAY,
        "weekly_digest": _WEEK,
    }
)
"""How often a schedule makes an asset, at least."""
_WARN, _FAIL = 2, 3
_PROBES_WARN, _PROBES_FAIL = 3, 6


def choose_policy(spec: dg.AssetSpec) -> dg.FreshnessPolicy | None:
    """Return when an asset is stale; None for what ticks, the page or a person make.

    Ingest runs come with each file that lands, and where nothing lands with each probe. A scheduled
    asset may miss one run without a word.
    """
    every = _SCHEDULED.get(spec.key.to_user_string())
    if every is not None:
        return dg.FreshnessPolicy.time_window(warn_window=_WARN * every, fail_window=_FAIL * every)
    if spec.partitions_def is None:
        return None
    return dg.FreshnessPolicy.time_window(
        warn_window=_PROBES_WARN * INTERVAL, fail_window=_PROBES_FAIL * INTERVAL
    )
