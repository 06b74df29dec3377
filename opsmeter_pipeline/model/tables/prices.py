"""Prices as rows, the decisions on their versions, and what names were resolved to."""

import polars as pl

from opsmeter_pipeline.model.columns import (
    Column,
    Table,
    count,
    flag,
    instant,
    money,
    text,
)
from opsmeter_pipeline.model.tables.dimensions import (
    SERVED,
)

PRICE_CATALOGUE = Table(
    "price_catalogue",
    "One price of one token class of one model, in force from an instant and under a condition.",
    (
        text("price_id", "Rows that are in force together share it; events point to it."),
        text("source", "Where the price is from: `genai-prices`, or the user's own file."),
        text("source_version", "Version of that source."),
        text("source_sha256", "SHA-256 of that source's content, hexadecimal."),
        instant("loaded_at", "When it was loaded."),
        text("provider_id", "Provider in the source's spelling."),
        text("model_id", "Model in the source's spelling."),
        count("model_order", "Place of the model in the source, from 0; the first match wins."),
        text("model_pattern", "Which names mean the model, as JSON; see docs/prices.md."),
        text("token_class", "Class of tokens it is for; the classes are in docs/prices.md."),
        text("unit", "token, request, search, hour, character, message or page."),
        money("price_usd_per_unit", "Exact price of one unit."),
        text("currency", "Always USD."),
        count("priority", "Of the rows in force at an instant, the highest priority counts."),
        instant("valid_from", "First instant of validity; null is since ever.", nullable=True),
        instant("valid_to", "First instant after validity; null is until further.", nullable=True),
        Column("window_start", pl.Time, "Start of its daily UTC window; may wrap.", nullable=True),
        Column("window_end", pl.Time, "End of that window, exclusive.", nullable=True),
        count("tier_threshold_tokens", "Where the tier begins; null is no tier.", nullable=True),
        text("tier_operator", "`>` or `>=` the threshold; null is no tier.", nullable=True),
        text(
            "tier_scope",
            "`whole_request`: all its tokens cost this; `marginal`: only those from there on.",
            nullable=True,
        ),
        text(
            "tier_count",
            "Count held against the threshold: `input_tokens` of a whole request, `class_tokens` "
            "(those of the row's own class) of a marginal tier.",
            nullable=True,
        ),
        text("service_tier", "batch, flex, priority or fast; null is default.", nullable=True),
        text("environment", "Only for this environment; null is all.", nullable=True),
        text("tenant_id", "Only for this tenant; null is all.", nullable=True),
        flag("is_rounded", "The source had a float artefact; rounded to 12 decimals per million."),
    ),
)
PRICE_VERSIONS = Table(
    "price_versions",
    "One decision on a version of a price source; a log, of which a source's last row counts.",
    (
        count("decision_number", "Place in the log, from 0."),
        text("source", "Where the prices are from: `genai-prices`, or `prices.toml`."),
        text("source_version", "Version of that source; of a file, the start of its SHA-256."),
        text(
            "decision",
            "taken (prices from then on, unasked), waits (for a person; the version before goes "
            "on pricing) or accepted.",
        ),
        text("reason", "Why."),
        count("moved_prices", "Prices it moves by 50 % or more, to or from zero, or takes away."),
        text("decided_by", "The run that decided, or the person who accepted."),
        instant("decided_at", "When."),
    ),
)
PRICE_ALIASES = Table(
    "price_aliases",
    "One name the user's own price file says to be another model's, in one version of that file.",
    (
        text("provider_id", "Provider of the name, as the catalogue spells it."),
        text("name", "The name, as callers' names are compared with it."),
        text("means_provider_id", "Provider of the model it means."),
        text("means_model_id", "The model it means."),
        text("source_version", "Version of the file."),
        instant("loaded_at", "When it was loaded."),
    ),
)
MODEL_RESOLUTIONS = Table(
    "model_resolutions",
    "One provider and model as callers name them, and the catalogue's model they mean.",
    (
        *SERVED,
        text("called_provider_id", "Provider in the catalogue; null if unknown.", nullable=True),
        text(
            "provider_id",
            "Provider whose price list counts: the called one, or one it borrows from; null if "
            "the model is unknown.",
            nullable=True,
        ),
        text("model_id", "Model in the catalogue; null if unknown.", nullable=True),
        text("rule", "How the name was matched, or why it was not; see docs/prices.md."),
        text("candidates", "What an ambiguous name may mean; null if it is not.", nullable=True),
        text(
            "comparable_providers",
            "Providers whose prices bound what it may cost; null if none is known: all.",
            nullable=True,
        ),
        text("suggestion", "The next step if it is unpriced, with what to put into `prices.toml`."),
        text("source_version", "Catalogue version that answered."),
        instant("resolved_at", "When it was first asked."),
    ),
)
