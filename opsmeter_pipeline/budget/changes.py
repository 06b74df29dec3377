"""What changed of a period after it was first reported: rows of `budget_changes`, by batch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl

from opsmeter_pipeline.budget.plan import Known, Touched
from opsmeter_pipeline.model.tables import BUDGET_CHANGES


class Part(NamedTuple):
    """What a batch brought to a budget in a period, or how much more: events and their cost."""

    attempts: int
    cost_usd: Decimal


@dataclass(frozen=True)
class Moved:
    """What changed of one budget in one period that was reported.

    Attributes:
        known: which, as the table knew it.
        touches: the changes of publishes that its row did not count.
        parts: by how much the part of each batch changed of which that is known.
    """

    known: Known
    touches: Sequence[Touched]
    parts: Mapping[str, Part]


def list_changes(moved: Sequence[Moved], rows: pl.DataFrame, *, now: datetime) -> pl.DataFrame:
    """Return rows of `budget_changes`; what changed nothing has none.

    Their sum is what `spent_usd` moved by. What the known parts leave, because the snapshot before
    is gone, is one row that names every batch it may be of.

    Args:
        moved: what may have changed.
        rows: of `budget_status`, as they are now.
        now: the present (UTC).
    """
    after = {(row["budget"], row["period_name"]): row for row in rows.iter_rows(named=True)}
    found = [row for one in moved for row in _list_changes(one, after[one.known.key], now)]
    return BUDGET_CHANGES.arrange(pl.DataFrame(found, schema=BUDGET_CHANGES.schema))


def _list_changes(moved: Moved, row: Mapping[str, Any], now: datetime) -> Iterator[dict[str, Any]]:
    before = moved.known.row
    parts = {one: part for one, part in moved.parts.items() if any(part)}
    left = Part(
        row["attempts"] - before["attempts"] - sum(one.attempts for one in parts.values()),
        row["spent_usd"] - before["spent_usd"] - sum(one.cost_usd for one in parts.values()),
    )
    if any(left):
        batch_ids = {one.batch_id for one in moved.touches}
        parts[", ".join(sorted(batch_ids - set(moved.parts) or batch_ids))] = left
    for batch_id, part in sorted(parts.items()):
        of_it = [one for one in moved.touches if one.batch_id in batch_id.split(", ")]
        yield {
            "number": max(one.number for one in of_it),
            "budget": row["budget"],
            "period_name": row["period_name"],
            "period_start_at": row["period_start_at"],
            "batch_id": batch_id,
            "kind": ", ".join(sorted({one.kind for one in of_it})),
            "change_attempts": part.attempts,
            "change_usd": part.cost_usd,
            "state_before": before["state"],
            "state_after": row["state"],
            "period_was_final": before["is_final"],
            "found_at": now,
        }
