"""Whether what is shown is fresh: one judgement, for the page, the API and the metrics."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.watermark import Watermark

FRESH, LATE, UNKNOWN = "fresh", "late", "unknown"
_TOLERANCE = timedelta(seconds=1)


@dataclass(frozen=True)
class Freshness:
    """What the badge says.

    Attributes:
        state: `fresh`, `late` or `unknown`.
        age_seconds: from `complete_through` of the look to now; null if there was no look.
        why: the state in a sentence.
    """

    state: str
    age_seconds: float | None
    why: str


def judge_freshness(
    look: Watermark | None,
    *,
    last_visible_at: datetime | None,
    last_probe_at: datetime | None,
    now: datetime,
    slo: Slo,
) -> Freshness:
    """Return the badge's state. What cannot be known is never called fresh.

    Args:
        look: what a look at the landing itself found, not long ago; None if it could not be had.
        last_visible_at: when the newest batch was visible; None if nothing was ever published.
        last_probe_at: when the page last showed a probe; None if it never did.
        now: the present (UTC).
        slo: says how old `complete_through` may be, and how long nothing may be seen.
    """
    if look is None:
        return Freshness(UNKNOWN, None, "The landing cannot be looked at.")
    age = (now - look.complete_through).total_seconds()
    if last_visible_at is None:
        return Freshness(UNKNOWN, age, "Nothing has been published yet.")
    if look.complete_through > now + _TOLERANCE:
        return Freshness(UNKNOWN, age, "The look at the landing is of a clock ahead of this one.")
    if age <= slo.limit_seconds:
        seen_at = max(last_visible_at, last_probe_at or last_visible_at)
        return _judge_calm(max(age, 0.0), silent_for=now - seen_at, slo=slo)
    if not look.waiting_files:
        return Freshness(UNKNOWN, age, "The last look at the landing is too old to tell.")
    files = "1 file waits" if look.waiting_files == 1 else f"{look.waiting_files} files wait"
    return Freshness(LATE, age, f"{files} in the landing, the oldest since then.")


def _judge_calm(age: float, *, silent_for: timedelta, slo: Slo) -> Freshness:
    """Return the state where nothing waits for long: nobody knows if nothing was seen either."""
    if silent_for > timedelta(seconds=slo.silence_seconds):
        return Freshness(
            UNKNOWN, age, "Nothing is late, but neither batch nor probe was seen lately."
        )
    return Freshness(FRESH, age, "All that landed until then is visible.")
