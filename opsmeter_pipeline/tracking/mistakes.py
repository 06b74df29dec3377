"""Common mistakes of producers that fixed limits find: no prompt version, raw ids, mixed traffic.

Each verdict names the producers and the fix. Mistakes in endpoint tags stand in `tags`.
"""

import re
from dataclasses import dataclass

import polars as pl

from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict
from opsmeter_pipeline.tracking.counts import KEPT

RAW_IDENTIFIER = "raw_identifier"
_NOT_PRODUCTION = re.compile(
    r"(?:^|[^a-z])(?:tests?|testing|qa|staging|stage|dev|demo|sandbox|local|ci)(?:$|[^a-z])"
)


@dataclass(frozen=True)
class MistakeLimits:
    """When a habit is a mistake.

    Attributes:
        missing_share: share of a producer's kept lines that may lack a prompt version; the limit
            of `missing_prompt_version_share`.
        min_lines: lines of a producer below which its share says nothing.
        min_mixed_lines: lines counted as production, that are likely not, worth a warning.
    """

    missing_share: float = 0.05
    min_lines: int = 20
    min_mixed_lines: int = 20


MISTAKE_LIMITS = MistakeLimits()


def judge_prompt_versions(counts: pl.DataFrame, limits: MistakeLimits = MISTAKE_LIMITS) -> Verdict:
    """Return whether each producer's judged lines tell their prompt version.

    Args:
        counts: `source`, `endpoint_tag`, `rule`, `lines`, `judged_lines` and
            `prompt_version_missing`.
        limits: when a habit is a mistake.
    """
    lacking = (
        _judged(counts)
        .group_by("source", "endpoint_tag")
        .agg(pl.col("lines", "prompt_version_missing").sum())
        .filter(
            pl.col("lines") >= limits.min_lines,
            pl.col("prompt_version_missing") > limits.missing_share * pl.col("lines"),
        )
        .sort("prompt_version_missing", "source", "endpoint_tag", descending=[True, False, False])
    )
    return _verdict(
        lacking,
        good="Every producer tells the prompt version of its calls.",
        bad="do not tell promptVersion. Send the deploy's label with every call, such as "
        "summarizer_v3; without it no prompt can be named as what changed a cost.",
        query="SELECT source, endpoint_tag, sum(prompt_version_missing) AS missing, sum(lines) AS "
        "lines FROM tracking_hourly WHERE rule = '(kept)' GROUP BY ALL ORDER BY missing DESC",
    )


def judge_raw_identifiers(counts: pl.DataFrame) -> Verdict:
    """Return whether no judged line was refused for a raw identifier.

    Args:
        counts: `source`, `endpoint_tag`, `rule`, `field`, `judged_lines`.
    """
    refused = (
        counts.filter(pl.col("rule") == RAW_IDENTIFIER, pl.col("judged_lines") > 0)
        .group_by("source", "endpoint_tag", "field")
        .agg(pl.col("judged_lines").sum().alias("lines"))
        .sort("lines", "source", "endpoint_tag", "field", descending=[True, *[False] * 3])
    )
    return _verdict(
        refused,
        good="No line holds an identifier of a person in the clear.",
        bad="send identifiers in the clear; their lines are quarantined. Hash userId and tenantId "
        "with a key (HMAC) before sending, then send the lines again.",
        query="SELECT file, line_number, detail FROM quarantine WHERE rule = 'raw_identifier'",
    )


def judge_production_mix(counts: pl.DataFrame, limits: MistakeLimits = MISTAKE_LIMITS) -> Verdict:
    """Return whether what the production views show is production, as far as can be seen.

    Lines without `dataMode` or `environment` count as production. They likely are not if the same
    source sends test, demo, staging or dev traffic too, or if the endpoint's name says so.

    Args:
        counts: `source`, `endpoint_tag`, `rule`, `lines`, `judged_lines`, `assumed_production` and
            `left_out`.
        limits: when a habit is a mistake.
    """
    kept = _judged(counts).group_by("source", "endpoint_tag").agg(
        pl.col("lines", "assumed_production", "left_out").sum()
    )  # fmt: skip
    tags = kept["endpoint_tag"].unique().to_list()
    odd = [tag for tag in tags if _NOT_PRODUCTION.search(tag.lower())]
    shown = pl.col("lines") - pl.col("left_out")
    mixed = (
        kept.with_columns(pl.col("left_out").sum().over("source").alias("left_out_of_source"))
        .with_columns(
            pl.when(pl.col("endpoint_tag").is_in(odd))
            .then(shown)
            .when(pl.col("left_out_of_source") > 0)
            .then("assumed_production")
            .otherwise(0)
            .alias("mixed_lines"),
            pl.when(pl.col("endpoint_tag").is_in(odd))
            .then(pl.lit("its name says that it is no production"))
            .otherwise(pl.lit("defaults applied, and its source sends other traffic too"))
            .alias("why"),
        )
        .filter(pl.col("mixed_lines") >= limits.min_mixed_lines)
        .select("source", "endpoint_tag", "why", "mixed_lines", "lines", "left_out_of_source")
        .sort("mixed_lines", "source", "endpoint_tag", descending=[True, False, False])
    )
    return _verdict(
        mixed,
        good="No test, demo, staging or dev traffic seems to be counted as production.",
        bad="likely count other traffic as production. Send dataMode and environment with every "
        "call: real and prod, or test and staging, or demo and dev.",
        query="SELECT source, endpoint_tag, sum(assumed_production) AS assumed, sum(left_out) AS "
        "left_out, sum(lines) AS lines FROM tracking_hourly GROUP BY ALL ORDER BY assumed DESC",
    )


def _judged(counts: pl.DataFrame) -> pl.DataFrame:
    return counts.filter(pl.col("rule") == KEPT, pl.col("judged_lines") > 0)


def _verdict(found: pl.DataFrame, *, good: str, bad: str, query: str) -> Verdict:
    named = ", ".join(
        f"{source} ({endpoint})"
        for source, endpoint in found.select("source", "endpoint_tag").head(3).iter_rows()
    )
    return Verdict(
        passed=found.is_empty(),
        summary=good if found.is_empty() else f"{named} {bad}",
        figures={"producers": found.height, "query": f'opsmeter query "{query}"'},
        culprits=found.head(SAMPLE_ROWS).to_dicts(),
    )
