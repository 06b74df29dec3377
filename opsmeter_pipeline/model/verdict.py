"""The outcome of a check as a plain value, before any orchestrator or page shows it.

Add here only the shape. What is judged stands in the stage that judges it; how a verdict
becomes a Dagster result stands in `orchestration.checks`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SAMPLE_ROWS = 10
"""How many offenders a verdict names; the rest is counted."""


@dataclass(frozen=True)
class Verdict:
    """Whether a promise held, in one sentence, with the figures and the culprits.

    Attributes:
        passed: the promise held.
        summary: one sentence for a person: what was compared and what to do if it failed.
        figures: the counts and bounds behind the summary, by name with unit.
        is_severe: it did not hold, and so clearly that it is an error even if nothing is blocked.
        culprits: at most `SAMPLE_ROWS` offenders, a mapping each.
    """

    passed: bool
    summary: str
    figures: Mapping[str, int | str] = field(default_factory=dict[str, int | str])
    culprits: Sequence[Mapping[str, object]] = ()
    is_severe: bool = False
