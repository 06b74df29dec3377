"""Columns that several tables share: when, where, who and what an event is attributed to."""

import polars as pl

from opsmeter_pipeline.model.columns import (
    Column,
    instant,
    text,
)

HOUR = instant("hour_at", "Start of the UTC hour in which the events occurred.")
DAY = Column("day", pl.Date, "UTC day on which the events occurred.")
TIER = (
    text("environment", "prod, staging or dev."),
    text("data_mode", "real, test or demo."),
)
SERVED = (
    text("provider", "Provider as the caller named it."),
    text("model", "Model as the caller named it."),
)
PROMPT = (
    text("endpoint_tag", "Product feature, `area.action`; `(missing)` if absent or empty."),
    text("prompt_version", "Prompt deploy label; `(missing)` if absent or empty."),
)
TENANT = text("tenant_id", "Opaque tenant, `h_...` if hashed here; `unknown` if absent.")
USER = text("user_id", "Opaque user, `h_...` if hashed here; `unknown` if absent or empty.")
BUCKET = Column("latency_bucket", pl.Int32, "Logarithmic latency bucket, see `cube`.")
SOURCE = text(
    "source", "Its files: their path with every date and sequence part as `*`, see `tracking`."
)
