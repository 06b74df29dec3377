"""Hours and days in which something was far above its usual self."""

from opsmeter_pipeline.model.columns import Table, change, count, instant, money, ratio, text

_USUAL = "What is usual of it then, an estimate; null if its past is too short or all 0."

SPIKES = Table(
    "spikes",
    "One hour or day in which one series was far above its past, or one tenant or user "
    "concentrated it; production only.",
    (
        instant("judged_at", "When it was judged last."),
        instant(
            "judged_through",
            "End of the newest window of its length that was judged; a spike by the hour is over "
            "three ordinary hours after it, one by the day with the next day.",
        ),
        text("kind", "spike, failing_burst (more requests, and more of them fail) or "
             "concentration."),
        text("rule_window", "1h, 1d, or 1d/share for a concentration."),
        instant("window_start_at", "Start of the hour or UTC day."),
        instant("window_end_at", "First instant after it."),
        text("dimension", "workspace, endpoint_tag, model, tenant_id or user_id."),
        text("within", "Provider of a model, tenant of a user; else empty."),
        text("value", "The dimension's value; `(all)` of the workspace."),
        text("measure", "What is farthest from the usual: cost_usd, requests or tokens."),
        text("basis", "weekday (the same hour of the same weekday) or any_day (of all days)."),
        count("attempts", "Events, without those that came late; so all below but the late ones."),
        count("requests", "Logical requests."),
        ratio("usual_requests", _USUAL),
        count("tokens", "Input and output tokens."),
        ratio("usual_tokens", _USUAL),
        money("cost_usd", "Cost of the priced events."),
        money("usual_cost_usd", _USUAL, nullable=True),
        change("extra_usd", "cost_usd less usual_cost_usd; all of it if that is null."),
        count("unpriced_attempts", "Events without a price: they are in no cost."),
        money("unpriced_low_usd", "The least that these may cost."),
        money("unpriced_high_usd", "The most; null where nobody can tell.", nullable=True),
        count("late_requests", "Requests of the window that landed 48 hours after it or later: "
              "not judged."),
        money("late_cost_usd", "Their cost."),
        ratio("surprise", "How improbable by its own past, as the negative power of ten; null of "
              "a concentration."),
        ratio("surprise_needed", "From where on it is told, for all series looked at together."),
        ratio("failure_share", "Failures by events."),
        ratio("usual_failure_share", "The same of its past; null of a concentration."),
        ratio("share", "Part of all in the measure, of a concentration; else null."),
        ratio("usual_share", "Its median part of the days before."),
        count("series_looked_at", "Series looked at together with it."),
        text("covered_by", "The spike that is told in its place, as they are the same event; null "
             "if it is told itself.", nullable=True),
        text("driver", "What drove it most, by `opsmeter why`; null if nothing stands out or it is "
             "covered.", nullable=True),
        text("control", "What to do about it; null if it is covered.", nullable=True),
        text("verify_sql", "Query that shows whether it helped; likewise.", nullable=True),
    ),
)  # fmt: skip
