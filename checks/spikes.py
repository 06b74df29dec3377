"""The spikes stage's check: whether a spike goes on now."""

from opsmeter_pipeline.model.tables import SPIKES
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_check
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.spikes.rows import CHECK, judge_open
from opsmeter_pipeline.storage.spikes import read_rules, read_spikes


def _judge(home: HomeResource, run_id: str) -> Verdict:
    del run_id
    return judge_open(read_spikes(home.lake), read_rules(home.settings))


no_spike = build_check(
    asset=SPIKES.name,
    name=CHECK,
    description="No hour or day of production is far above its own past, by more than chance shows "
    "in all that is looked at.",
    judge=_judge,
    blocking=False,
)
