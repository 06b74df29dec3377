"""How budgets stand, period by period, and what changed of a period after it was reported."""

from dataclasses import replace

from opsmeter_pipeline.model.columns import (
    Table,
    change,
    count,
    flag,
    instant,
    money,
    ratio,
    text,
)

_STATE = "ok, warning, exceeded, or unknown where what has no price decides."
_DEFINITION = (
    text("budget", "Name of the budget in `opsmeter.toml`."),
    text("period", "daily or monthly: a calendar day or month of the zone."),
    text("period_name", "Which one, such as `2026-11-28` or `2026-11`."),
    instant("period_start_at", "Its first instant."),
    instant("period_end_at", "First instant after it."),
    text("zone", "IANA time zone whose days and months are meant."),
    text("environment", "Whose traffic, prod unless the budget says otherwise; `*` is any."),
    text("endpoint_tag", "Pattern of the endpoints it is of; `*` is any."),
    text("tenant_id", "Pattern of the tenants, likewise."),
    text("model", "Pattern of the models, as callers name them, likewise."),
    text("provider", "Pattern of the providers, likewise."),
    money("limit_usd", "What may be spent, as set when this row was computed."),
    money("warning_usd", "From how much on there is a warning, that much included."),
)
BUDGET_STATUS = Table(
    "budget_status",
    "One budget in one period, the present one or one that is over. Only `data_mode` real counts.",
    (
        *_DEFINITION,
        count("attempts", "Events."),
        count("unpriced_attempts", "Of these, events without a price."),
        count("unbounded_attempts", "Of these, events of which nobody can tell what they cost."),
        money("spent_usd", "Cost of the events that have a price."),
        money("spent_low_usd", "The least that all have cost."),
        money("spent_high_usd", "The most that all have cost; null if nobody can tell.",
              nullable=True),
        ratio("limit_share", "`spent_low_usd` by `limit_usd`; 1 is all of it."),
        text("state", f"{_STATE} Exceeded is above the limit."),
        text("least_state", "The state if what has no price cost the least."),
        text("most_state", "The state if it cost the most."),
        instant("warning_at", "Start of the hour in which the least reached the warning; null if "
                "it did not.", nullable=True),
        ratio("burn_rate", "Spend of the last 24 hours (of a daily budget 3) by what is usual "
              "then; null before there is any."),
        text("burn_against", "What is usual: `weeks` (the same hours of past weeks) or `limit` "
             "(the limit spent evenly, where weeks tell nothing); null without a rate.",
             nullable=True),
        money("forecast_usd", "What the period will have cost at its end, at least; null if too "
              "little is known, or it is over.", nullable=True),
        money("forecast_low_usd", "The lower end of the forecast; null below four weeks of "
              "history.", nullable=True),
        money("forecast_high_usd", "The upper end; null likewise, and where of an event without a "
              "price nobody can tell.", nullable=True),
        text("forecast_by", "`weeks` (as past weeks went on) or `pace` (as the period did so far); "
             "null without a forecast.", nullable=True),
        count("forecast_weeks", "How many past weeks it is made from."),
        instant("exceeds_at", "Start of the hour in which the least passed the limit, or by the "
                "forecast will; null if it will not.", nullable=True),
        instant("exceeds_soonest_at", "The same by the upper end of the forecast.", nullable=True),
        text("top_endpoint_tag", "Endpoint of the period's largest part; null where all is ok, and "
             "if the budget is of one.", nullable=True),
        ratio("top_endpoint_share", "Its part of `spent_usd`, 0 to 1; null likewise."),
        text("top_tenant_id", "Tenant of the largest part; likewise.", nullable=True),
        ratio("top_tenant_share", "Its part of `spent_usd`, 0 to 1; null likewise."),
        flag("is_over", "The period had ended when this was computed."),
        flag("is_final", "All of it is below the watermark and the lateness allowance."),
        instant("exceeded_seen_at", "When it was first computed to be exceeded; null if never.",
                nullable=True),
        instant("reported_at", "When it was first computed after the period's end; null before.",
                nullable=True),
        money("reported_usd", "`spent_usd` as it was then; null before.", nullable=True),
        instant("computed_at", "When this was computed."),
        instant("complete_through", "The watermark then: no file that landed before it waited; "
                "null before the first look.", nullable=True),
        count("changes_through", "The newest publish it counts, see `day_changes.number`; 0 before "
              "the first."),
        count("snapshot_id", "Snapshot of the warehouse it was computed from."),
    ),
)  # fmt: skip
BUDGET_CHANGES = Table(
    "budget_changes",
    "What one batch changed in a budget's period after it was first reported; a log.",
    (
        count("number", "The newest publish with it, see `day_changes.number`."),
        text("budget", "Name of the budget."),
        text("period_name", "Which period, such as `2026-11-28` or `2026-11`."),
        instant("period_start_at", "Its first instant."),
        text("batch_id", "The batch whose rows changed; several, with commas, where it cannot be "
             "told apart any more."),
        text("kind", "How: live (lines taken anew), backfill, replay or reprice; of several ways "
             "all, with commas."),
        replace(count("change_attempts", "Events more or fewer."), is_signed=True),
        change("change_usd", "`spent_usd` more or less."),
        text("state_before", "State of the period before these changes."),
        text("state_after", "State with all of them."),
        flag("period_was_final", "The period had been final before."),
        instant("found_at", "When it was computed."),
    ),
)  # fmt: skip
