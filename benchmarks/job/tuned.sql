-- The whole job as one DuckDB script: lines -> events -> cube and users, in one transaction.
-- Variables: lines_glob, prices_path. The current schema is that of the attached lake.

CREATE TEMP TABLE price AS
SELECT
    provider,
    model,
    coalesce(valid_from, DATE '-infinity') AS valid_from,
    coalesce(valid_to, DATE 'infinity') AS valid_to,
    any_value(usd) FILTER (token_class = 'uncached_input') AS uncached_input_usd,
    any_value(usd) FILTER (token_class = 'cache_read') AS cache_read_usd,
    any_value(usd) FILTER (token_class = 'output') AS output_usd
FROM read_csv(getvariable('prices_path'), header = true, columns = {
    provider: 'VARCHAR', model: 'VARCHAR', token_class: 'VARCHAR',
    valid_from: 'DATE', valid_to: 'DATE', usd: 'DECIMAL(38,18)'
})
GROUP BY ALL;

BEGIN;

-- Load first and take redeliveries out afterwards: the quickest of seven ways, see README.md.
CREATE TABLE events AS
SELECT
    line.externalRequestId AS external_request_id,
    line.provider,
    line.model,
    line.endpointTag AS endpoint,
    line.promptVersion AS prompt_version,
    line.tenantId AS tenant_id,
    line.userId AS user_id,
    line.inputTokens - line.cacheReadTokens AS uncached_input_tokens,
    line.cacheReadTokens AS cache_read_tokens,
    line.outputTokens AS output_tokens,
    line.latencyMs AS latency_ms,
    line.status,
    line.dataMode AS data_mode,
    line.environment,
    line.timestamp AS event_at,
    CAST(
        (line.inputTokens - line.cacheReadTokens) * price.uncached_input_usd
        + line.cacheReadTokens * price.cache_read_usd
        + line.outputTokens * price.output_usd
    AS DECIMAL(38, 18)) AS cost_usd
FROM read_json(
    getvariable('lines_glob'),
    format = 'newline_delimited',
    ignore_errors = true,
    columns = {
        externalRequestId: 'VARCHAR', provider: 'VARCHAR', model: 'VARCHAR',
        endpointTag: 'VARCHAR', promptVersion: 'VARCHAR', tenantId: 'VARCHAR', userId: 'VARCHAR',
        inputTokens: 'BIGINT', outputTokens: 'BIGINT', cacheReadTokens: 'BIGINT',
        latencyMs: 'BIGINT', status: 'VARCHAR', dataMode: 'VARCHAR', environment: 'VARCHAR',
        timestamp: 'TIMESTAMP'
    }
) AS line
LEFT JOIN price
    ON line.provider = price.provider
    AND line.model = price.model
    AND line.timestamp >= price.valid_from
    AND line.timestamp < price.valid_to;

-- Ids seen more than once, by hash: a collision only adds a candidate to the exact test below.
CREATE TEMP TABLE repeated AS
SELECT hash(external_request_id) AS id_hash
FROM events
GROUP BY ALL
HAVING count(*) > 1;

-- Rows to take out: redeliveries, the earliest stays, and the NULLs that a broken line leaves.
CREATE TEMP TABLE leaving AS
SELECT rowid AS event_rowid, external_request_id IS NULL AS is_broken
FROM events
WHERE hash(external_request_id) IN (FROM repeated) OR external_request_id IS NULL
QUALIFY is_broken OR row_number() OVER (
    PARTITION BY
        environment, external_request_id, provider, model, endpoint, prompt_version,
        uncached_input_tokens, cache_read_tokens, output_tokens, latency_ms, status
    ORDER BY event_at
) > 1;

DELETE FROM events WHERE rowid IN (SELECT event_rowid FROM leaving);

CREATE TABLE cube AS
SELECT
    date_trunc('hour', event_at) AS hour_at,
    environment,
    data_mode,
    provider,
    model,
    endpoint,
    prompt_version,
    tenant_id,
    count(*) AS events,
    count_if(status = 'success') AS success_events,
    count_if(cost_usd IS NULL) AS unpriced_events,
    sum(uncached_input_tokens)::BIGINT AS uncached_input_tokens,
    sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(cost_usd) AS cost_usd
FROM events
GROUP BY ALL;

CREATE TABLE users AS
SELECT
    event_at::DATE AS day,
    environment,
    data_mode,
    tenant_id,
    user_id,
    count(*) AS events,
    sum(uncached_input_tokens)::BIGINT AS uncached_input_tokens,
    sum(cache_read_tokens)::BIGINT AS cache_read_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(cost_usd) AS cost_usd
FROM events
GROUP BY ALL;

COMMIT;

SELECT
    count(*) + (SELECT count(*) FROM leaving) AS lines,
    count(*) AS events,
    (SELECT count(*) FROM leaving WHERE NOT is_broken) AS duplicates,
    count(*) FILTER (cost_usd IS NULL) AS unpriced_events,
    coalesce(sum(cost_usd), 0)::VARCHAR AS cost_usd
FROM events;
