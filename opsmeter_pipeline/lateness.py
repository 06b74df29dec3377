"""What late data changes and how far a total can be trusted, as SQL the views are made of.

A total is `final` once its last hour has ended a lateness allowance below the newest watermark
(ADR 0013). Add here what is said of changes to days that were reported before. The two logs it
reads are written by `storage.lateness`; the views themselves stand in `views`.
"""

from collections.abc import Sequence

from opsmeter_pipeline.model.columns import Column, count, flag, instant, money, text
from opsmeter_pipeline.model.tables import DAY_CHANGES

STATE = text("state", "`final` if all of it is below the watermark and the allowance, else "
             "`provisional`.")  # fmt: skip
CHANGES_AFTER_FINAL = count(
    "changes_after_final", "How often late data changed it after it was final; see `late_changes`."
)
_MEASURES = {
    "requests": "Logical requests",
    "attempts": "Events",
    "tokens": "Input and output tokens",
    "cost_usd": "Cost",
}


def tell_state(ends_at: str, *, day: str) -> str:
    """Return the SQL of a total's state, from the SQL of the instant at which its time ends.

    A watermark ahead of the reader's clock was measured by a clock that was wrong.

    Args:
        ends_at: when the total's last hour ends.
        day: its UTC day.
    """
    return (
        f"CASE WHEN {ends_at} <= (SELECT {_THROUGH} - to_seconds("
        f"arg_max(lateness_allowance_seconds, number)) FROM watermarks) "
        f"AND {day} NOT IN ({_LOADING}) THEN 'final' ELSE 'provisional' END"
    )


def end_of(day: str) -> str:
    """Return the SQL of the instant at which a UTC day ends.

    >>> end_of("day")
    "((day + 1)::TIMESTAMP AT TIME ZONE 'UTC')"
    """
    return f"(({day} + 1)::TIMESTAMP AT TIME ZONE 'UTC')"


def is_history(day: str) -> str:
    """Return the SQL that says whether a UTC day was over before the home's first look."""
    return f"({end_of(day)} <= (SELECT min_by(looked_at, number) FROM watermarks))"


_THROUGH = "least(arg_max(complete_through, number), now())"
_LOADING = f"""
    SELECT day FROM day_changes GROUP BY day
    HAVING {is_history("day")} AND coalesce(min_by(visible_at, number), now()) >= (
        SELECT min(looked_at) FROM watermarks
        WHERE looked_at > (SELECT {_THROUGH} FROM watermarks)
    )
"""
"""Days of history of which some may still wait: it had landed when the first of it was taken."""


_IS_CHANGED = " OR ".join(
    f"change_{name} <> 0"
    for name in ("requests", "attempts", "input_tokens", "output_tokens", "cost_usd",
                 "unpriced_attempts")
)  # fmt: skip
COUNT_CHANGES_AFTER_FINAL = f"""
    SELECT day, count(*) AS changes_after_final FROM day_changes
    WHERE final_at IS NOT NULL AND ({_IS_CHANGED}) GROUP BY day
"""

LATE_CHANGE_COLUMNS: Sequence[Column] = (
    *DAY_CHANGES.pick("day", "number", "batch_id", "kind"),
    instant(
        "first_reported_at",
        "When the day was over and first shown, or final without a row; of history, when final.",
    ),
    *DAY_CHANGES.pick("visible_at"),
    flag("day_was_final", "The day had been final before this change."),
    *DAY_CHANGES.pick("final_at"),
    *(
        (money if name == "cost_usd" else count)(f"{when}_{name}", meaning.format(what))
        for name, what in _MEASURES.items()
        for when, meaning in (
            ("before", "{} of the day before it."),
            ("change", "{} more, or less if negative."),
            ("after", "{} of the day with it: before + change."),
        )
    ),
    *DAY_CHANGES.pick("change_unpriced_attempts"),
)


def _running(name: str) -> str:
    kind = "DECIMAL(38,18)" if name == "cost_usd" else "BIGINT"
    after = f"(sum(change_{name}) OVER so_far)::{kind}"
    return (
        f"({after} - change_{name})::{kind} AS before_{name}, change_{name}, "
        f"{after} AS after_{name}"
    )


LATE_CHANGES = f"""
    SELECT {", ".join(column.name for column in LATE_CHANGE_COLUMNS)} FROM (
        SELECT day, number, batch_id, kind, visible_at, final_at,
            final_at IS NOT NULL AS day_was_final,
            number > min(number) OVER so_far AND coalesce(visible_at, now()) > {end_of("day")}
                AND NOT {is_history("day")} AS is_after_report, {_IS_CHANGED} AS is_changed,
            CASE WHEN {is_history("day")} THEN final_at ELSE coalesce(
                first_value(final_at) OVER so_far,
                greatest({end_of("day")}, first_value(visible_at) OVER so_far)
            ) END AS first_reported_at,
            {", ".join(_running(name) for name in _MEASURES)},
            change_unpriced_attempts
        FROM (
            SELECT *, change_input_tokens + change_output_tokens AS change_tokens
            FROM day_changes
        )
        WINDOW so_far AS (
            PARTITION BY day ORDER BY number, batch_id ROWS UNBOUNDED PRECEDING
        )
    )
    WHERE is_changed AND (day_was_final OR is_after_report)
    ORDER BY day, number, batch_id
"""
