"""The budget stage: what was spent of what may be, what that means, and what will have been spent.

`plan` says which budgets are computed for which periods, `judge` makes rows of `budget_status` of
what the warehouse sums up for them, `conditions` and `verdict` say what is wrong. Nothing here
reads a clock or a table. Comes after `publish`, in a job of its own (ADR 0031).
"""

from opsmeter_pipeline.budget.changes import Moved, Part, list_changes
from opsmeter_pipeline.budget.judge import Look, Spent, Top, build_rows, find_troubled
from opsmeter_pipeline.budget.plan import (
    Asked,
    Known,
    Touched,
    find_dropped,
    is_due,
    plan,
    read_known,
)
from opsmeter_pipeline.budget.states import Spend

__all__ = [
    "Asked",
    "Known",
    "Look",
    "Moved",
    "Part",
    "Spend",
    "Spent",
    "Top",
    "Touched",
    "build_rows",
    "find_dropped",
    "find_troubled",
    "is_due",
    "list_changes",
    "plan",
    "read_known",
]
