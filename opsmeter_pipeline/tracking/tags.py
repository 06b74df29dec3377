"""Endpoint tags that split one feature in two, or make each request a feature of its own.

Pure text rules over the tags of the last days. Add a shape here that a tag should not have.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import polars as pl

from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict
from opsmeter_pipeline.model.wire import MISSING_TAG
from opsmeter_pipeline.tracking.counts import KEPT


@dataclass(frozen=True)
class TagLimits:
    """When endpoint tags are a mistake.

    Attributes:
        missing_share: share of a source's kept lines that may lack a tag.
        min_lines: kept lines of a source below which its share says nothing.
        max_tags: different tags a source may have; the field's pages show some dozens.
        min_new_tags: new tags in the judged hours below which their number is not rising.
        new_share: new tags per known one above which it is.
        min_hours: earlier hours below which no tag is called new.
    """

    missing_share: float = 0.05
    min_lines: int = 20
    max_tags: int = 200
    min_new_tags: int = 20
    new_share: float = 0.5
    min_hours: int = 6


TAG_LIMITS = TagLimits()
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")
_GOOD = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*(?:\.[a-z][a-z0-9]*(?:_[a-z0-9]+)*)+")
_PATH = re.compile(r"/|^[A-Za-z][A-Za-z0-9+.]*:")
_ID = re.compile(
    r"(?<![A-Za-z0-9])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|(?=[a-f]*[0-9])[0-9a-f]{8,}|[0-9]{4,}|[0-9]{4}-[0-9]{2}-[0-9]{2}\S*)(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_QUERY = (
    'opsmeter query "SELECT endpoint_tag, source, sum(lines) AS lines FROM tracking_hourly '
    "WHERE rule = '(kept)' GROUP BY ALL ORDER BY 1\""
)
_FIX = "Name a feature once, as `area.action` in lower case, and never by URL or id."


def normalise_tag(tag: str) -> str:
    """Return what a tag's spellings have in common: its words, without case and separators.

    >>> {normalise_tag(tag) for tag in ("checkout.aiSummary", "checkout.ai_summary",
    ...     "/checkout/AI-summary", "Checkout.AISummary")}
    {'checkoutaisummary'}
    """
    return "".join(_WORD.findall(tag)).casefold()


def is_path(tag: str) -> bool:
    """Return whether a tag is a URL or a path of one.

    >>> is_path("/api/v1/chat"), is_path("https://x.io"), is_path("chat.reply")
    (True, True, False)
    """
    return _PATH.search(tag) is not None


def holds_id(tag: str) -> bool:
    """Return whether a tag holds an id, a moment or a long number.

    >>> holds_id("order.4711234"), holds_id("chat.2026-11-23"), holds_id("chat.gpt4o_v2")
    (True, True, False)
    """
    return _ID.search(tag) is not None


def judge_endpoint_tags(counts: pl.DataFrame, limits: TagLimits = TAG_LIMITS) -> Verdict:
    """Return whether the judged lines name their endpoints, each feature by one name.

    Args:
        counts: `source`, `landed_hour_at`, `endpoint_tag`, `rule`, `lines` and `judged_lines` of
            the judged hours and those before.
        limits: when tags are a mistake.
    """
    kept = counts.filter(pl.col("rule") == KEPT)
    named = kept.filter(pl.col("endpoint_tag") != MISSING_TAG)
    tags = (
        named.group_by("endpoint_tag")
        .agg(
            pl.col("lines").sum(),
            pl.col("judged_lines").sum(),
            pl.col("source").unique().sort().str.join(", "),
        )
        .sort("endpoint_tag")
    )
    culprits = [
        *_find_missing(kept, limits),
        *_find_variants(tags),
        *_find_shapes(tags),
        *_find_many(named, limits),
    ]
    problems = dict.fromkeys(str(one["problem"]) for one in culprits)
    return Verdict(
        passed=not culprits,
        summary=(
            f"{tags.height} endpoint tags, each feature by one name."
            if not culprits
            else f"{len(culprits)} mistakes in endpoint tags ({', '.join(problems)}). {_FIX}"
        ),
        figures={"endpoint_tags": tags.height, "mistakes": len(culprits), "query": _QUERY},
        culprits=culprits[:SAMPLE_ROWS],
    )


def _find_missing(kept: pl.DataFrame, limits: TagLimits) -> Iterator[dict[str, object]]:
    is_missing = pl.col("endpoint_tag") == MISSING_TAG
    by_source = (
        kept.group_by("source")
        .agg(
            pl.col("judged_lines").sum(),
            pl.col("judged_lines").filter(is_missing).sum().alias("missing"),
        )
        .filter(
            pl.col("judged_lines") >= limits.min_lines,
            pl.col("missing") > limits.missing_share * pl.col("judged_lines"),
        )
        .sort("missing", "source", descending=[True, False])
    )
    for source, lines, missing in by_source.iter_rows():
        yield {
            "problem": "missing",
            "source": source,
            "lines": missing,
            "of_lines": lines,
            "fix": "send endpointTag with every call",
        }


def _find_variants(tags: pl.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the spellings that normalise to one, if any of them was judged."""
    rows = sorted(tags.iter_rows(named=True), key=lambda row: normalise_tag(row["endpoint_tag"]))
    for words, spelled in groupby(rows, key=lambda row: normalise_tag(row["endpoint_tag"])):
        variants = sorted(spelled, key=lambda row: (-row["lines"], row["endpoint_tag"]))
        if not words or len(variants) < 2 or not any(row["judged_lines"] for row in variants):
            continue
        keep = choose_tag([(row["endpoint_tag"], row["lines"]) for row in variants])
        yield {
            "problem": "spelled in several ways",
            "endpoint_tag": ", ".join(f"{row['endpoint_tag']} ({row['lines']})"
                                      for row in variants),
            "keep": keep,
            "source": ", ".join(dict.fromkeys(row["source"] for row in variants)),
            "lines": sum(row["lines"] for row in variants if row["endpoint_tag"] != keep),
            "fix": f"send {keep} everywhere",
        }  # fmt: skip


def choose_tag(variants: Sequence[tuple[str, int]]) -> str:
    """Return the spelling to keep: one that is `area.action` in lower case, else the commonest.

    >>> choose_tag([("checkout.aiSummary", 900), ("checkout.ai_summary", 20)])
    'checkout.ai_summary'
    """
    return min(variants, key=lambda one: (_GOOD.fullmatch(one[0]) is None, -one[1], one[0]))[0]


def _find_shapes(tags: pl.DataFrame) -> Iterator[dict[str, object]]:
    judged = tags.filter(pl.col("judged_lines") > 0).sort("lines", descending=True)
    for row in judged.iter_rows(named=True):
        problem = (
            "holds an id" if holds_id(row["endpoint_tag"])
            else "is a URL path" if is_path(row["endpoint_tag"]) else None
        )  # fmt: skip
        if problem:
            yield {
                "problem": problem,
                "endpoint_tag": row["endpoint_tag"],
                "source": row["source"],
                "lines": row["lines"],
                "fix": "name the feature, as area.action; ids belong into externalRequestId",
            }


def _find_many(named: pl.DataFrame, limits: TagLimits) -> Iterator[dict[str, object]]:
    first_judged = pl.col("landed_hour_at").filter(pl.col("judged_lines") > 0).min()
    before = named.filter(pl.col("landed_hour_at") < first_judged)
    known = before.group_by("source").agg(
        pl.col("endpoint_tag").n_unique().alias("known"),
        pl.col("landed_hour_at").n_unique().alias("hours"),
    )
    new = (
        named.filter(pl.col("judged_lines") > 0)
        .join(before, on=["source", "endpoint_tag"], how="anti")
        .group_by("source")
        .agg(pl.col("endpoint_tag").n_unique().alias("new"))
    )
    every = (
        named.filter(pl.col("judged_lines").sum().over("source") > 0)
        .group_by("source")
        .agg(pl.col("endpoint_tag").n_unique().alias("tags"))
        .join(known, on="source", how="left")
        .join(new, on="source", how="left")
        .fill_null(0)
    )
    is_rising = (
        (pl.col("hours") >= limits.min_hours)
        & (pl.col("new") >= limits.min_new_tags)
        & (pl.col("new") > limits.new_share * pl.col("known"))
    )
    found = every.filter(is_rising | (pl.col("tags") > limits.max_tags)).sort("source")
    for row in found.iter_rows(named=True):
        yield {
            "problem": "more and more tags",
            "source": row["source"],
            "tags": row["tags"],
            "new_tags": row["new"],
            "fix": "send a fixed set of tags; what varies per request belongs elsewhere",
        }
