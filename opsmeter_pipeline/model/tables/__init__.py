"""The tables of the warehouse, column by column: DESIGN's contract with people and checks.

Add a column here first; contract, DDL, docs and checks follow. Views over these tables stand
in the `views` stage. Cubes hold additive measures only, so any total is a sum of rows.
"""

from opsmeter_pipeline.model.tables.alerts import ALERTS, INCIDENT_EVENTS, INCIDENTS
from opsmeter_pipeline.model.tables.budgets import BUDGET_CHANGES, BUDGET_STATUS
from opsmeter_pipeline.model.tables.cubes import (
    ATTRIBUTION_HOURLY,
    INPUT_STEPS,
    LATENCY_HOURLY,
    MEASURE_NAMES,
    OUTPUT_STEPS,
    TOKEN_MOMENTS_HOURLY,
    UNPRICED_HOURLY,
    USERS_DAILY,
    USERS_LATENCY_DAILY,
    dimensions_of,
    name_step,
)
from opsmeter_pipeline.model.tables.doubles import DOUBLE_INSTRUMENTATION
from opsmeter_pipeline.model.tables.drift import (
    PROMPT_VERSION_DRIFT,
    PROMPT_VERSION_FINDINGS,
    VERDICT_CHANGES,
)
from opsmeter_pipeline.model.tables.drivers import COMPARED, COST_DRIVERS, FACTORS, PREVIOUS
from opsmeter_pipeline.model.tables.events import EVENTS, PRICED, QUARANTINE, REFUSED, TOLD
from opsmeter_pipeline.model.tables.freshness import BATCH_TIMES, FRESHNESS_LAGS
from opsmeter_pipeline.model.tables.lateness import DAY_CHANGES, LOOKED, WATERMARKS
from opsmeter_pipeline.model.tables.ledger import (
    INGEST_BATCHES,
    INGEST_FILES,
    LANDING_FINDINGS,
    MOVED_LINES,
    SLICE_SCHEMA,
)
from opsmeter_pipeline.model.tables.prices import (
    MODEL_RESOLUTIONS,
    PRICE_ALIASES,
    PRICE_CATALOGUE,
    PRICE_VERSIONS,
)
from opsmeter_pipeline.model.tables.probes import PROBES
from opsmeter_pipeline.model.tables.reprice import RESTATEMENTS
from opsmeter_pipeline.model.tables.served import FIRST_SERVED
from opsmeter_pipeline.model.tables.spikes import SPIKES
from opsmeter_pipeline.model.tables.tracking import (
    CLOCKS_HOURLY,
    FIELD_PRESENCE_HOURLY,
    MANIFESTS,
    TRACKING_HOURLY,
)

__all__ = [
    "ALERTS",
    "ATTRIBUTION_HOURLY",
    "BATCH_TABLES",
    "BATCH_TIMES",
    "BUDGET_CHANGES",
    "BUDGET_STATUS",
    "CLOCKS_HOURLY",
    "COMPARED",
    "COST_DRIVERS",
    "CUBES",
    "DAY_CHANGES",
    "DOUBLE_INSTRUMENTATION",
    "EVENTS",
    "FACTORS",
    "FIELD_PRESENCE_HOURLY",
    "FIRST_SERVED",
    "FRESHNESS_LAGS",
    "INCIDENTS",
    "INCIDENT_EVENTS",
    "INGEST_BATCHES",
    "INGEST_FILES",
    "INPUT_STEPS",
    "LANDING_FINDINGS",
    "LATENCY_HOURLY",
    "LOOKED",
    "MANIFESTS",
    "MEASURE_NAMES",
    "MODEL_RESOLUTIONS",
    "MOVED_LINES",
    "OUTPUT_STEPS",
    "PREVIOUS",
    "PRICED",
    "PRICE_ALIASES",
    "PRICE_CATALOGUE",
    "PRICE_VERSIONS",
    "PROBES",
    "PROMPT_VERSION_DRIFT",
    "PROMPT_VERSION_FINDINGS",
    "QUARANTINE",
    "REFUSED",
    "RESTATEMENTS",
    "SLICE_SCHEMA",
    "SPIKES",
    "TABLES",
    "TOKEN_MOMENTS_HOURLY",
    "TOLD",
    "TRACKING",
    "TRACKING_HOURLY",
    "UNPRICED_HOURLY",
    "USERS_DAILY",
    "USERS_LATENCY_DAILY",
    "VERDICT_CHANGES",
    "WATERMARKS",
    "dimensions_of",
    "name_step",
]

CUBES = (
    *(ATTRIBUTION_HOURLY, USERS_DAILY, LATENCY_HOURLY, USERS_LATENCY_DAILY, UNPRICED_HOURLY),
    TOKEN_MOMENTS_HOURLY,
)
TRACKING = (TRACKING_HOURLY, FIELD_PRESENCE_HOURLY, CLOCKS_HOURLY)
BATCH_TABLES = (
    *(EVENTS, QUARANTINE, INGEST_BATCHES, INGEST_FILES, *CUBES, *TRACKING),
    FRESHNESS_LAGS,
)
"""Tables whose rows carry their batch and are replaced when the batch is replayed."""
TABLES = (
    *BATCH_TABLES,
    BATCH_TIMES,
    MOVED_LINES,
    LANDING_FINDINGS,
    MANIFESTS,
    DAY_CHANGES,
    WATERMARKS,
    DOUBLE_INSTRUMENTATION,
    PRICE_CATALOGUE,
    PRICE_ALIASES,
    PRICE_VERSIONS,
    MODEL_RESOLUTIONS,
    RESTATEMENTS,
    COST_DRIVERS,
    BUDGET_STATUS,
    BUDGET_CHANGES,
    PROMPT_VERSION_DRIFT,
    PROMPT_VERSION_FINDINGS,
    VERDICT_CHANGES,
    SPIKES,
    FIRST_SERVED,
    PROBES,
    INCIDENTS,
    INCIDENT_EVENTS,
    ALERTS,
)
