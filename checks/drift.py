"""The drift stage's check: whether a prompt version regressed by as much as the limits."""

from opsmeter_pipeline.drift import DRIFT_CHECK, judge_drift
from opsmeter_pipeline.model.tables import PROMPT_VERSION_DRIFT
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_check
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.drift import read_alarm_limits, read_drift


def _judge(home: HomeResource, run_id: str) -> Verdict:
    del run_id
    return judge_drift(read_drift(home.lake), read_alarm_limits(home.settings))


prompt_version_drift = build_check(
    asset=PROMPT_VERSION_DRIFT.name,
    name=DRIFT_CHECK,
    description="No prompt version costs 15 % more per request, or answers 20 % longer, beyond "
    "chance, than its baseline; [drift] in opsmeter.toml sets both limits.",
    judge=_judge,
    blocking=False,
)
