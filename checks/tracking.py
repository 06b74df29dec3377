"""The tracking stage's checks: dropped lines, silence, false manifests, mistakes, skewed clocks.

All are warnings about what was published, judged in one step from counts, so that every run can
afford them. Each names its culprits, the fix, and the query that shows the lines. Silence is also
judged by the clock, in the job `silence`: when nobody lands anything, no run does.
"""

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.tables import TRACKING_HOURLY
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_checks
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.clocks import read_lags
from opsmeter_pipeline.storage.lateness import read_watermark
from opsmeter_pipeline.storage.tracking import read_counts, read_landings, read_looks
from opsmeter_pipeline.tracking.clocks import CLOCK_LIMITS, judge_clock_skew
from opsmeter_pipeline.tracking.manifests import judge_manifests
from opsmeter_pipeline.tracking.mistakes import (
    judge_production_mix,
    judge_prompt_versions,
    judge_raw_identifiers,
)
from opsmeter_pipeline.tracking.quiet import QUIET_LIMITS, judge_quiet
from opsmeter_pipeline.tracking.shifts import (
    SHIFT_LIMITS,
    judge_field_change,
    judge_quarantine_shift,
)
from opsmeter_pipeline.tracking.tags import judge_endpoint_tags

_DESCRIPTIONS = {
    "quarantine_shift": "No producer's lines break a rule far more often than in its hours before.",
    "field_change": "No field a producer used to send disappears or changes its type.",
    "quiet_producer": "Every producer lands files as often as it used to.",
    "manifest_counts": "Files with a manifest arrive with the lines and checksum it tells.",
    "endpoint_tags": "Lines name their endpoint, each feature by one name, none by URL or id.",
    "prompt_versions": "At most 5 % of a producer's lines at an endpoint lack a prompt version.",
    "raw_identifiers": "No line holds an identifier of a person in the clear.",
    "clock_skew": "No clock of a producer is more than 5 minutes ahead, or constantly behind.",
    "production_mix": "No test, demo, staging or dev traffic is counted as production.",
}


def _judge_tracking(home: HomeResource, run_id: str) -> dict[str, Verdict]:
    counts, presence = read_counts(home.lake, run_id, window=SHIFT_LIMITS.window)
    landings = read_landings(home.lake, window=QUIET_LIMITS.window)
    now, look = utc_now(), read_watermark(home.lake)
    return {
        "quarantine_shift": judge_quarantine_shift(counts),
        "field_change": judge_field_change(counts, presence),
        "quiet_producer": judge_quiet(landings, now=look.complete_through if look else now),
        "manifest_counts": judge_manifests(read_looks(home.lake), now=now),
        "endpoint_tags": judge_endpoint_tags(counts),
        "prompt_versions": judge_prompt_versions(counts),
        "raw_identifiers": judge_raw_identifiers(counts),
        "production_mix": judge_production_mix(counts),
        "clock_skew": judge_clock_skew(read_lags(home.lake, run_id, window=CLOCK_LIMITS.window)),
    }


tracking_checks = build_checks(
    asset=TRACKING_HOURLY.name, descriptions=_DESCRIPTIONS, judge=_judge_tracking
)
