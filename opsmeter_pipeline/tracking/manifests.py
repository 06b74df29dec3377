"""Whether what arrived is what the producer says it sent.

Reads a manifest's text and judges what manifests told against what the ledger counted. Opening
manifests is `storage.landing`'s; a manifest is optional, and one that cannot be read is a finding.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, cast

import polars as pl

from opsmeter_pipeline.model.verdict import SAMPLE_ROWS, Verdict

SUFFIX = ".manifest.json"
ALGORITHMS: Mapping[str, int] = {"sha256": 64, "xxh3_128": 32}
"""Checksums a manifest may tell, with their length in hexadecimal digits."""
_REMEDY = 'write it as {"lines": 1200, "checksum": "sha256:<hex>"}, the checksum being optional'
_QUERY = (
    'opsmeter query "SELECT * FROM manifests JOIN ingest_files USING (file) '
    "WHERE file = '<file>' ORDER BY read_at DESC\""
)


class Told(NamedTuple):
    """What a manifest says.

    Attributes:
        lines: the producer's own count; None if the manifest cannot be used.
        checksum: `algorithm:hex` of the whole file; None if it tells none.
        problem: why the manifest cannot be used; None if it can.
    """

    lines: int | None
    checksum: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class ManifestLimits:
    """How long a difference may stand.

    Attributes:
        settle: how long a file may be on its way, or be appended to, after its manifest.
        window: manifests looked at longer ago are not judged any more.
    """

    settle: timedelta = timedelta(seconds=300)
    window: timedelta = timedelta(days=7)


MANIFEST_LIMITS = ManifestLimits()


def read_manifest(content: bytes) -> Told:
    """Return what a manifest's text says, or why it cannot be used.

    >>> read_manifest(b'{"lines": 12, "checksum": "xxh3_128:' + b"0" * 32 + b'"}').lines
    12
    >>> read_manifest(b'{"lines": "12"}').problem[:41]
    'it has no whole number under `lines`; wri'
    """
    try:
        document: object = json.loads(content)
    except (ValueError, RecursionError):
        return Told(None, problem=f"it is no JSON; {_REMEDY}")
    fields = cast("dict[str, object]", document) if isinstance(document, dict) else {}
    lines, checksum = fields.get("lines"), fields.get("checksum")
    if not isinstance(lines, int) or isinstance(lines, bool) or not 0 <= lines < 2**63:
        return Told(None, problem=f"it has no whole number under `lines`; {_REMEDY}")
    if checksum is not None and not _is_checksum(checksum):
        known = " or ".join(f"{name}:<{digits} digits>" for name, digits in ALGORITHMS.items())
        return Told(None, problem=f"its checksum is not {known}; {_REMEDY}")
    return Told(lines, str(checksum).lower() if checksum is not None else None)


def judge_manifests(
    looks: pl.DataFrame, *, now: datetime, limits: ManifestLimits = MANIFEST_LIMITS
) -> Verdict:
    """Return whether each file that has a manifest arrived as its manifest says.

    A plain `.jsonl` that was changed after its manifest may hold more than it says; one that was
    changed a moment ago, or is not there yet, may still hold less.

    Args:
        looks: the last look at each manifest: its columns, and of its file `format`, `lines`,
            `blank` and `file_modified_at`, null if nothing of it was taken, and `complete_at`:
            everything that landed until then has been taken.
        now: the present (UTC).
        limits: how long a difference may stand.
    """
    recent = looks.filter(pl.col("read_at") >= now - limits.window)
    judged = recent.with_columns(_difference(now - limits.settle).alias("difference"))
    wrong = judged.filter(pl.col("difference").is_not_null()).sort("file")
    named = ", ".join(wrong["file"].head(3))
    return Verdict(
        passed=wrong.is_empty(),
        summary=(
            f"{recent.height} files with a manifest arrived as it says, or are on their way."
            if wrong.is_empty()
            else f"Not what their manifests say: {named}. Land what is missing under a new name "
            "(lines that were taken count once), and have the producer mend a wrong manifest."
        ),
        figures={"manifests": recent.height, "differing": wrong.height, "query": _QUERY},
        culprits=wrong.head(SAMPLE_ROWS)
        .select("file", "difference", "told_lines", arrived_lines="lines")
        .to_dicts(),
    )


def _difference(settled_before: datetime) -> pl.Expr:
    """Return what differs, in words; null if nothing does, or not yet."""
    told, lines = pl.col("told_lines"), pl.col("lines")
    is_here = lines.is_not_null()
    is_plain = pl.col("format") == "jsonl"
    # Blank lines may be counted by the producer or not.
    is_same = (lines == told) | (lines - pl.col("blank") == told)
    has_grown = is_plain & (pl.col("file_modified_at") > pl.col("modified_at"))
    may_grow = is_plain & (pl.col("file_modified_at") > settled_before)
    may_come = (pl.col("modified_at") > settled_before) | (
        pl.col("complete_at") < pl.col("modified_at")
    )
    other_bytes = pl.col("found_checksum") != pl.col("told_checksum")
    return (
        pl.when(pl.col("problem").is_not_null())
        .then(pl.format("the manifest cannot be used: {}", "problem"))
        .when(~is_here & may_come | (lines < told) & may_grow)
        .then(pl.lit(None, pl.String))
        .when(~is_here)
        .then(pl.lit("nothing of the file was taken"))
        .when(has_grown & (lines >= told) | is_same & ~other_bytes.fill_null(value=False))
        .then(pl.lit(None, pl.String))
        .when(is_same)
        .then(pl.lit("as many lines, but another checksum"))
        .when(lines < told)
        .then(pl.format("{} lines are missing", told - lines))
        .otherwise(pl.format("{} lines are too many", lines - told))
    )


def _is_checksum(checksum: object) -> bool:
    if not isinstance(checksum, str):
        return False
    name, _, digits = checksum.partition(":")
    length = ALGORITHMS.get(name)
    return length is not None and re.fullmatch(rf"[0-9a-fA-F]{{{length}}}", digits) is not None
