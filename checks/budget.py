"""The budget stage's check: which budgets are near their limit, exceeded or unknown."""

from opsmeter_pipeline.budget.verdict import CHECK, judge_budgets
from opsmeter_pipeline.model.tables import BUDGET_STATUS
from opsmeter_pipeline.model.verdict import Verdict
from opsmeter_pipeline.orchestration.checks import build_check
from opsmeter_pipeline.orchestration.resources import HomeResource
from opsmeter_pipeline.storage.budget import read_status


def _judge(home: HomeResource, run_id: str) -> Verdict:
    del run_id
    return judge_budgets(read_status(home.lake).to_dicts())


budgets = build_check(
    asset=BUDGET_STATUS.name,
    name=CHECK,
    description="Every budget is below its warning in its present period, also if what has no "
    "price cost the most. One that is exceeded is an error.",
    judge=_judge,
    blocking=False,
)
