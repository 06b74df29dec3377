"""What lies in quarantine, by rule and file, and which batches a replay of it takes.

Reading only. A line that moved out is in `moved_lines`; which of the batches can still be replayed
is decided by `storage.plan` when the run looks at their files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from opsmeter_pipeline.storage.lake import Lake

_FOUND = "FROM quarantine WHERE (rule = $1 OR $1 IS NULL) AND (file = $2 OR $2 IS NULL)"
_BY_RULE = f"""
    SELECT rule, count(*) AS quarantined, count(DISTINCT file) AS files,
        min(ingested_at) AS first_at, max(ingested_at) AS last_at,
        count(estimated_cost_usd) AS estimated_lines,
        sum(estimated_cost_usd)::DECIMAL(38,18) AS estimated_cost_usd,
        count(unestimated_reason) AS unestimated_lines
    {_FOUND} GROUP BY rule ORDER BY quarantined DESC, rule
"""
_SAMPLES = f"""
    SELECT rule, file, line_number, detail, line_redacted {_FOUND}
    QUALIFY row_number() OVER (PARTITION BY rule ORDER BY ingested_at DESC, file, line_number) <= $3
    ORDER BY rule, ingested_at DESC, file, line_number
"""
_BATCHES = f"""
    SELECT b.ingest_day, b.batch_id FROM ingest_batches b
    WHERE b.batch_id IN (SELECT batch_id {_FOUND}) ORDER BY b.ingest_day, b.taken_at, b.batch_id
"""


@dataclass(frozen=True)
class Choice:
    """Which quarantined lines are meant: of a rule, of a file, of both, or all.

    Attributes:
        rule: the rule they were quarantined by; None is any.
        file: path relative to the landing; None is any.
    """

    rule: str | None = None
    file: str | None = None


def read_rules(lake: Lake, choice: Choice) -> pl.DataFrame:
    """Return one row per rule of the chosen lines, the most frequent first."""
    return lake.read(_BY_RULE, [choice.rule, choice.file])


def read_samples(lake: Lake, choice: Choice, *, limit: int) -> pl.DataFrame:
    """Return up to that many of the chosen lines for each rule, redacted, the latest first."""
    return lake.read(_SAMPLES, [choice.rule, choice.file, limit])


def count_lines(lake: Lake, choice: Choice) -> int:
    """Return how many lines were read of the chosen file, or of all."""
    sql = "SELECT coalesce(sum(lines), 0)::BIGINT FROM ingest_files WHERE file = $1 OR $1 IS NULL"
    return lake.read(sql, [choice.file]).item()


def find_batches(lake: Lake, choice: Choice) -> dict[date, list[str]]:
    """Return the batches that hold such lines, by ingest day, in the order they were taken."""
    found: dict[date, list[str]] = {}
    for day, batch_id in lake.read(_BATCHES, [choice.rule, choice.file]).iter_rows():
        found.setdefault(day, []).append(batch_id)
    return found


def count_quarantined(lake: Lake, batch_ids: Sequence[str]) -> dict[str, int]:
    """Return how many lines of these batches each rule holds in quarantine."""
    sql = """SELECT rule, count(*) FROM quarantine
        WHERE batch_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY rule"""
    return dict(lake.read(sql, [batch_ids]).iter_rows())


def count_moved(lake: Lake, run_ids: Sequence[str]) -> dict[str, int]:
    """Return how many lines these runs moved to events, by the rule that had held them."""
    sql = """SELECT rule, count(*) FROM moved_lines
        WHERE run_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY rule"""
    return dict(lake.read(sql, [run_ids]).iter_rows())


def read_left(lake: Lake, batch_ids: Sequence[str], run_ids: Sequence[str]) -> list[str]:
    """Return which of these batches none of these runs has replayed."""
    sql = """SELECT batch_id FROM ingest_batches WHERE batch_id IN (SELECT unnest($1::VARCHAR[]))
        AND run_id NOT IN (SELECT unnest($2::VARCHAR[])) ORDER BY 1"""
    return lake.read(sql, [batch_ids, run_ids])["batch_id"].to_list()


def read_rule_names(lake: Lake) -> list[str]:
    """Return the rules that quarantined lines stand under, those of older contracts included."""
    return lake.read("SELECT DISTINCT rule FROM quarantine ORDER BY 1")["rule"].to_list()


def read_files(lake: Lake) -> list[str]:
    """Return all files of which something was taken."""
    return lake.read("SELECT DISTINCT file FROM ingest_files ORDER BY 1")["file"].to_list()
