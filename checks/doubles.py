"""The doubles stage's check: who reports calls that somebody else reports too."""

from opsmeter_pipeline.doubles import CHECK, judge_doubles
from opsmeter_pipeline.model.tables import DOUBLE_INSTRUMENTATION
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_check
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.doubles import read_newest


def _judge(home: HomeResource, run_id: str) -> Verdict:
    del run_id
    return judge_doubles(read_newest(home.lake))


double_instrumentation = build_check(
    asset=DOUBLE_INSTRUMENTATION.name,
    name=CHECK,
    description="No two reporters tell the same calls under different ids, more often than chance "
    "brings. Nothing is removed if they do.",
    judge=_judge,
    blocking=False,
)
