"""What the check `quarantine_shift` said last: a producer's lines break a rule as never before."""

from dataclasses import dataclass
from datetime import datetime

from opsmeter_pipeline.model.condition import WARNING, Condition, Key

QUARANTINE_JUMP = "quarantine_jump"


@dataclass(frozen=True)
class Judged:
    """The newest verdict of the check.

    Attributes:
        passed: no producer's share of broken lines has jumped.
        judged_at: when (UTC).
        summary: the check's own sentence; names rule, source and endpoint.
        broken_lines: lines of the culprits it names.
        run_id: the run it judged.
    """

    passed: bool
    judged_at: datetime
    summary: str
    broken_lines: int
    run_id: str


def judge_quarantine_jump(judged: Judged | None) -> list[Condition]:
    """Return a condition if the newest verdict was bad; before the first there is none."""
    if judged is None or judged.passed:
        return []
    return [
        Condition(
            Key("producers", QUARANTINE_JUMP, "7d"),
            WARNING,
            since_at=judged.judged_at,
            value=judged.broken_lines,
            limit=0,
            unit="lines",
            what=judged.summary,
            next_step="opsmeter quarantine",
            run_id=judged.run_id,
        )
    ]
