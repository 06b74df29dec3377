"""The verdict of the check `budgets`: which of them are not ok now, and what drove them."""

from collections.abc import Mapping, Sequence

from opsmeter_pipeline.budget.states import EXCEEDED, OK, STATES
from opsmeter_pipeline.budget.words import Row, describe, show_at
from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict

CHECK = "budgets"
_NAMED = 3


def judge_budgets(rows: Sequence[Row]) -> Verdict:
    """Return whether all budgets are ok in their present periods; one exceeded is severe.

    Args:
        rows: of `budget_status`; those of periods that are over do not count.
    """
    present = [row for row in rows if not row["is_over"]]
    wrong = sorted(
        (row for row in present if row["state"] != OK),
        key=lambda row: (-(row["least_state"] == EXCEEDED), -row["limit_share"], row["budget"]),
    )
    named = "; ".join(f"{row['state']}: {describe(row)}" for row in wrong[:_NAMED])
    more = f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    counts = {f"{state}_budgets": sum(row["state"] == state for row in present) for state in STATES}
    return Verdict(
        passed=not wrong,
        summary=f"{named}{more}." if wrong else f"All {len(present)} budgets are ok.",
        figures={"budgets": len(present), **counts},
        culprits=[_name_culprit(row) for row in wrong[:SAMPLE_ROWS]],
        is_severe=any(row["state"] == EXCEEDED for row in wrong),
    )


def _name_culprit(row: Row) -> Mapping[str, object]:
    told = ("budget", "period_name", "state", "limit_usd", "spent_low_usd", "spent_high_usd",
            "top_endpoint_tag", "top_tenant_id", "burn_rate", "forecast_usd")  # fmt: skip
    shown = {name: row[name] for name in told if row[name] is not None}
    return shown | {"exceeds_at": show_at(row, "exceeds_at") or "not in this period"}
