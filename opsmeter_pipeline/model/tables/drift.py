"""Prompt versions: how each compares with its baseline, and what is odd in how they are told."""

from opsmeter_pipeline.model.columns import Column, Table, change, count, instant, ratio, text
from opsmeter_pipeline.model.tables.dimensions import PROMPT, TIER

_ENDPOINT, _VERSION = PROMPT
_AS_OF = (
    instant("computed_at", "When it was computed; a later look replaces the row."),
    instant("as_of_at", "End of the newest hour with traffic; that hour may still grow."),
)

_COMPARED = (
    TIER[0],
    _ENDPOINT,
    _VERSION,
    text("compared_with", "replaced (the version before it) or past (its own, of 7 days)."),
    text("baseline_version", "The version it is compared with; null if there is none.",
         nullable=True),
)  # fmt: skip


def _pair(name: str, meaning: str) -> tuple[Column, ...]:
    return ratio(name, f"{meaning}."), ratio(f"baseline_{name}", f"{meaning}, of the baseline.")


def _interval(name: str, meaning: str) -> tuple[Column, ...]:
    return (
        ratio(name, f"{meaning}, as a share; null if it could not be tested."),
        ratio(f"{name}_low", "Lower end of its interval, whenever one looks."),
        ratio(f"{name}_high", "Upper end of it."),
    )


PROMPT_VERSION_DRIFT = Table(
    "prompt_version_drift",
    "One prompt version of an endpoint, compared with its baseline as of the last look; real only.",
    (
        *_AS_OF,
        *_COMPARED,
        instant("since_at", "Start of what is compared: its first hour, or yesterday's midnight."),
        instant("baseline_since_at", "Start of the baseline; null if there is none.",
                nullable=True),
        count("requests", "Requests since then."),
        count("baseline_requests", "Requests of the baseline."),
        text("verdict", "regressed, improved, same, mix or not_enough_data."),
        text("regression_type", "Kind of regression, see docs/drift.md; null for other verdicts.",
             nullable=True),
        text("measure", "The measure that speaks loudest; null if none does.", nullable=True),
        *_interval("change", "Change of that measure; of a share, the difference"),
        ratio("confidence", "1 less the chance of such a change where nothing changed, over all "
              "looks and measures."),
        text("moved", "All measures that changed beyond chance, the strongest first; or empty."),
        *_interval("cost_change", "Change of the cost of a request, of the same tenants"),
        *_interval("input_change", "Change of mean input tokens, of the same tenants and models"),
        *_interval("output_change", "Change of mean output tokens, likewise"),
        ratio("mix_change", "Change of the cost of a request by which tenants called alone."),
        ratio("tenant_shift", "Part of the attempts that other tenants make than before, 0 to 1."),
        ratio("model_shift", "Part of the attempts that other models answer, 0 to 1."),
        *_pair("cost_per_request_usd", "Cost of a priced attempt times attempts by "
              "requests, all mixes as they were, for reading"),
        *_pair("input_p95_tokens", "95th percentile of input tokens; null outside of the steps"),
        *_pair("output_p95_tokens", "95th percentile of output tokens, likewise"),
        *_pair("latency_p95_ms", "95th percentile of latency, within 1 %"),
        *_pair("failure_share", "Failed attempts by attempts"),
        *_pair("attempts_per_request", "Attempts by requests"),
        *_pair("attempts_per_success", "Attempts by attempts that did not fail"),
        ratio("priced_share", "Part of the attempts of both sides that have a price."),
        change("monthly_usd", "What the change comes to in 30 days at the last day's volume; null "
               "if cost could not be compared.", nullable=True),
        change("monthly_low_usd", "Likewise at the lower end of the interval.", nullable=True),
        change("monthly_high_usd", "Likewise at the upper end.", nullable=True),
        text("driver", "What it came to, in words."),
        text("control", "What to do about it; null where there is nothing.", nullable=True),
        text("verify_sql", "Query that shows whether it helped; likewise.", nullable=True),
    ),
)  # fmt: skip
PROMPT_VERSION_FINDINGS = Table(
    "prompt_version_findings",
    "Something odd in how versions of an endpoint are told or rolled out, at the last look.",
    (
        *_AS_OF,
        TIER[0],
        _ENDPOINT,
        text("finding", "no_version, returned, lingering or exploding."),
        text("prompt_version", "The version it is about; empty if it is about all of them."),
        instant("since_at", "Since when, as far as the cube tells."),
        count("attempts", "Attempts of the last day it concerns."),
        count("versions", "Versions it concerns."),
        ratio("share", "Part of the endpoint's attempts of the last day that it concerns, 0 to 1."),
        text("detail", "What was found and what to do, in a sentence."),
    ),
)

VERDICT_CHANGES = Table(
    "verdict_changes",
    "One verdict on a prompt version that a look changed; a log. What late data had to do with it.",
    (
        instant("changed_at", "When the look was that says so now."),
        *_COMPARED,
        text("former_verdict", "The verdict of the look before."),
        text("verdict", "The verdict now."),
        instant("former_at", "When the look before was."),
        ratio("former_cost_change", "Its change of the cost of a request; null if not tested."),
        ratio("cost_change", "The change now; likewise."),
        change("former_monthly_usd", "Its dollars in 30 days; null if cost could not be compared.",
               nullable=True),
        change("monthly_usd", "The dollars now; likewise.", nullable=True),
        count("late_batches", "Batches that changed hours which were over at the look before. 0: "
              "only newer hours did it."),
        text("late_batch_ids", "Their ids in the order of their names; empty if there are none."),
    ),
)  # fmt: skip
