"""The view of what has no price: the queue of names to price, with the next step for each.

It reads the cubes and the small tables of prices, never events. What a step may say stands in
`price.suggest` and `model.unpriced`.
"""

from opsmeter_pipeline.model.columns import count, instant, money, ratio, text
from opsmeter_pipeline.model.tables import ATTRIBUTION_HOURLY, UNPRICED_HOURLY
from opsmeter_pipeline.model.unpriced import OF_NAMES, STEPS
from opsmeter_pipeline.views.view import View

_OWN_FIRST = "rule LIKE 'own%'"


def _text(words: str) -> str:
    """Return words as an SQL literal."""
    return "'" + words.replace("'", "''") + "'"


def _by_reason(part: int) -> str:
    """Return the SQL of what `STEPS` has for a row's reason, or an empty text."""
    cases = " ".join(
        f"WHEN {_text(reason)} THEN {_text(step[part])}" for reason, step in STEPS.items()
    )
    return f"CASE unpriced_reason {cases} ELSE '' END"


_NAMES = ", ".join(map(_text, OF_NAMES))
_SUGGESTION = f"""
    CASE
        WHEN waiting IS NOT NULL THEN 'Version ' || waiting || ', which waits, has a price for it. '
            || 'Look at it and take it: opsmeter prices pending, opsmeter prices accept.'
        WHEN suggestion IS NULL THEN 'Run opsmeter run: it was not asked for by today''s prices.'
        WHEN unpriced_reason IN ({_NAMES}) AND asked.model_id IS NOT NULL
            THEN 'Known by now. Price what came before it was: opsmeter reprice.'
        WHEN unpriced_reason = 'no_price_then' THEN 'Its price in prices.toml does not hold then: '
            || 'widen valid_from, valid_to, environment or tenant there, or add a [[price]].'
        ELSE trim({_by_reason(0)} || ' ' || suggestion) || rtrim(chr(10) || {_by_reason(1)},
            chr(10))
    END
"""
_SQL = f"""
    WITH decided AS (
        SELECT source, arg_max(source_version, decision_number) AS last_version,
            arg_max(decision, decision_number) = 'waits' AS is_waiting,
            arg_max(source_version, decision_number) FILTER (decision <> 'waits') AS in_force
        FROM price_versions GROUP BY source
    ), asked AS (
        SELECT provider, model, called_provider_id, model_id, suggestion FROM model_resolutions
        WHERE source_version IN
            (SELECT last_version FROM decided UNION SELECT in_force FROM decided)
        QUALIFY row_number() OVER (
            PARTITION BY provider, model ORDER BY resolved_at DESC, {_OWN_FIRST} DESC
        ) = 1
    ), listed AS (
        SELECT source_version, provider_id, model_id FROM price_catalogue
        UNION
        SELECT source_version, provider_id, name FROM price_aliases
    ), coming AS (
        SELECT new.provider_id, new.model_id, min(source || ' ' || new.source_version) AS waiting
        FROM listed new JOIN decided ON is_waiting AND new.source_version = last_version
        WHERE NOT EXISTS (
            SELECT 1 FROM listed old JOIN decided d ON old.source_version = d.in_force
            WHERE (old.provider_id, old.model_id) = (new.provider_id, new.model_id)
        )
        GROUP BY ALL
    ), unpriced AS (
        SELECT provider, model, unpriced_reason,
            min(hour_at) AS first_hour_at, max(hour_at) AS last_hour_at,
            sum(requests)::BIGINT AS requests,
            sum(attempts)::BIGINT AS unpriced_attempts,
            sum(input_tokens)::BIGINT AS input_tokens,
            sum(output_tokens)::BIGINT AS output_tokens,
            count(DISTINCT tenant_id) AS tenants,
            sum(unbounded_attempts)::BIGINT AS unbounded_attempts,
            sum(unpriced_low_usd)::DECIMAL(38,18) AS unpriced_low_usd,
            CASE WHEN sum(unbounded_attempts) = 0
                THEN sum(unpriced_high_usd)::DECIMAL(38,18) END AS unpriced_high_usd
        FROM unpriced_hourly GROUP BY provider, model, unpriced_reason
    ), every AS (
        SELECT provider, model, sum(attempts)::BIGINT AS attempts
        FROM attribution_hourly GROUP BY provider, model
    )
    SELECT provider, model, unpriced_reason, first_hour_at, last_hour_at, requests,
        unpriced_attempts, attempts, round(unpriced_attempts / attempts, 6) AS unpriced_share,
        input_tokens, output_tokens, tenants,
        unbounded_attempts, unpriced_low_usd, unpriced_high_usd, {_SUGGESTION} AS suggestion
    FROM unpriced JOIN every USING (provider, model) LEFT JOIN asked USING (provider, model)
        LEFT JOIN coming ON coming.provider_id = coalesce(called_provider_id, lower(trim(provider)))
            AND coming.model_id = coalesce(asked.model_id, lower(trim(model)))
    ORDER BY unpriced_attempts DESC, provider, model, unpriced_reason
"""
UNPRICED_MODELS = View(
    "unpriced_models",
    "One row per provider, model and reason of attempts without a price, in any environment.",
    (
        *UNPRICED_HOURLY.pick("provider", "model", "unpriced_reason"),
        instant("first_hour_at", "Start of the first UTC hour in which it had no price."),
        instant("last_hour_at", "Start of the last UTC hour in which it had no price."),
        count("requests", "Logical requests whose first attempt had no price."),
        *ATTRIBUTION_HOURLY.pick("unpriced_attempts"),
        count("attempts", "All attempts of the model, those of other reasons or with a price too."),
        ratio("unpriced_share", "`unpriced_attempts` by `attempts`, 0 to 1."),
        count("input_tokens", "Input tokens of the attempts without a price."),
        count("output_tokens", "Output tokens of the attempts without a price."),
        count("tenants", "Different tenants that called it without a price."),
        *UNPRICED_HOURLY.pick("unbounded_attempts"),
        money("unpriced_low_usd", "The least these attempts may cost."),
        money(
            "unpriced_high_usd",
            "The most they may cost; null if of one of them nobody can tell.",
            nullable=True,
        ),
        text("suggestion", "The next step; below it, what to put into `prices.toml`."),
    ),
    _SQL,
    (
        "unpriced_hourly",
        "attribution_hourly",
        "model_resolutions",
        "price_versions",
        "price_catalogue",
        "price_aliases",
    ),
)
