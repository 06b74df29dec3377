"""What is wrong with freshness: an error budget that is spent too fast, as conditions for alerts.

How fast is too fast stands in `freshness.slo`; who is told is the `alerts` stage's.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from opsmeter_pipeline.freshness.slo import Burn, JudgedSlo
from opsmeter_pipeline.model.condition import CRITICAL, WARNING, Condition, Key

SLO_BURN = "slo_burn"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def judge_burn(slos: Iterable[JudgedSlo], *, now: datetime) -> list[Condition]:
    """Return a condition for each objective and rule by which its budget burns.

    The rules over hours are critical, the one over days is a warning. It holds at least since its
    short window began.
    """
    return [_to_condition(slo, burn, now) for slo in slos for burn in slo.burns if burn.is_burning]


def name_window(burn: Burn) -> str:
    """Return both windows of a rule, such as `1h/5m`."""
    return f"{_spell(burn.long_seconds)}/{_spell(burn.short_seconds)}"


def _to_condition(slo: JudgedSlo, burn: Burn, now: datetime) -> Condition:
    scope, rate = slo.scope, burn.long_rate or 0
    return Condition(
        Key(f"slo:{scope.environment}/{scope.endpoint}", SLO_BURN, name_window(burn)),
        WARNING if burn.severity == WARNING else CRITICAL,
        since_at=now - timedelta(seconds=burn.short_seconds),
        value=round(float(rate), 2),
        limit=round(float(burn.factor), 2),
        unit="times the budget's pace",
        what=f"Events of {scope.environment}/{scope.endpoint} are visible later than "
        f"{scope.objective.limit_seconds} s, at {rate:.1f} times the pace the budget allows over "
        f"{_spell(burn.long_seconds)}; of {slo.allowed_late} late events allowed in "
        f"{scope.objective.window_days} days {slo.left_late} are left.",
        next_step="opsmeter status, then the newest run of `ingest` in the Dagster UI",
    )


def _spell(seconds: int) -> str:
    """Return a length of time in its largest whole unit.

    >>> [_spell(seconds) for seconds in (300, 3600, 21600, 259200)]
    ['5m', '1h', '6h', '3d']
    """
    units = (("d", _DAY), ("h", _HOUR), ("m", _MINUTE))
    length, unit = next((length, unit) for unit, length in units if seconds % length == 0)
    return f"{seconds // length}{unit}"
