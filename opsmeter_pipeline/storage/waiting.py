"""What waits: slices the landing shows and the ledger does not have, and batches not measured yet.

Lines cannot be counted before they are parsed, so they are estimated from their source's bytes
per line, and shared out to the objectives as its events of the last days were. Reading only.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from opsmeter_pipeline.freshness.counts import HISTORY_AFTER
from opsmeter_pipeline.freshness.waiting import UNKNOWN_LINE_BYTES, Waiting, estimate_lines
from opsmeter_pipeline.landing import Left
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.probe import is_probe_file
from opsmeter_pipeline.settings import Settings
from opsmeter_pipeline.storage.lake import Lake
from opsmeter_pipeline.storage.survey import Survey
from opsmeter_pipeline.tracking.source import name_source, name_sources

_KNOWN = timedelta(days=7)
_BYTES = """
    SELECT file, sum(byte_end - byte_start)::BIGINT AS bytes, sum(lines)::BIGINT AS lines,
        count(DISTINCT date_trunc('hour', landed_at)) AS hours
    FROM ingest_files WHERE landed_at > ? AND lines > 0 GROUP BY file
"""
_MIX = """
    SELECT source, environment, data_mode, endpoint_tag, sum(events)::BIGINT AS events
    FROM freshness_lags WHERE visible_at > ? GROUP BY ALL
"""
_UNMEASURED = """
    SELECT batch_id, file, landed_at AS since, landed_at AS until, 0 AS waiting_bytes,
        f.accepted::DOUBLE AS lines
    FROM ingest_batches b JOIN ingest_files f USING (batch_id) WHERE b.visible_at IS NULL
"""


class _Habit(NamedTuple):
    """What was taken of a source's files: bytes, lines, and in how many hours of a file."""

    bytes: int
    lines: int
    hours: int


_FIRST_LOOK = "SELECT min_by(looked_at, number) FROM watermarks"


def list_waiting(lake: Lake, survey: Survey, *, settings: Settings) -> list[Waiting]:
    """Return what is not known to be visible, the oldest first.

    Args:
        lake: the warehouse.
        survey: a look at the landing.
        settings: of the home.
    """
    left = survey.find_left(settings)
    since = survey.now - _KNOWN
    habits = _read_habits(lake, since) if left else {}
    dated = zip(left, survey.date_left(lake, left), strict=True)
    waiting = [
        *(Waiting(**row) for row in lake.read(_UNMEASURED).iter_rows(named=True)),
        *(_describe(one, at, habits, now=survey.now) for one, at in dated),
    ]
    if not waiting:
        return []
    shares, first_look = _read_shares(lake, settings.slo, since), lake.read(_FIRST_LOOK).item()
    all_of_it = {settings.slo.scopes[-1].name: 1.0}
    for nth, one in enumerate(waiting):
        is_history = first_look is not None and one.since < first_look - HISTORY_AFTER
        of_source = shares.get(name_source(one.file), all_of_it)
        is_left_out = is_history or is_probe_file(one.file)
        waiting[nth] = replace(one, shares={} if is_left_out else of_source)
    return sorted(waiting, key=lambda one: (one.since, one.file))


def _describe(
    left: Left, bound: datetime, habits: Mapping[str, _Habit], *, now: datetime
) -> Waiting:
    """Return what waits of a file.

    It landed when the file was last changed, as its events will be counted once they are visible.
    What a log gained since it was taken landed since then; its own pace says since about when.
    """
    landed, until = left.candidate.landed, min(left.candidate.landed.modified_at, now)
    waiting_bytes = max(landed.size_bytes - left.candidate.byte_start, 0)
    habit = habits.get(name_source(landed.file)) or habits.get("") or _Habit(1, 1, 1)
    is_known = "" in habits
    line_bytes = habit.bytes / habit.lines if is_known else UNKNOWN_LINE_BYTES
    lines, since = estimate_lines(waiting_bytes, line_bytes), until
    if left.is_begun and left.candidate.format == "jsonl":
        pace = timedelta(hours=lines * habit.hours / habit.lines)
        since = max(bound, until - pace)
    return Waiting(landed.file, min(since, until), until, waiting_bytes, lines)


def _read_habits(lake: Lake, since: datetime) -> dict[str, _Habit]:
    """Return the habits of each source, and of all together under an empty name."""
    found = lake.read(_BYTES, [since])
    habits: dict[str, _Habit] = {}
    sources = dict(name_sources(found["file"]).iter_rows())
    for file, *counts in found.iter_rows():
        for name in ("", sources[file]):
            known = habits.get(name, _Habit(0, 0, 0))
            habits[name] = _Habit(*(one + more for one, more in zip(known, counts, strict=True)))
    return habits


def _read_shares(lake: Lake, slo: Slo, since: datetime) -> dict[str, dict[str, float]]:
    """Return for each source the part of its events that each scope is about."""
    totals: dict[str, int] = {}
    parts: dict[str, dict[str, int]] = {}
    for source, environment, mode, endpoint, events in lake.read(_MIX, [since]).iter_rows():
        totals[source] = totals.get(source, 0) + events
        scope = slo.find_scope(environment, endpoint) if mode == "real" else None
        if scope:
            of_source = parts.setdefault(source, {})
            of_source[scope.name] = of_source.get(scope.name, 0) + events
    return {
        source: {name: n / total for name, n in parts.get(source, {}).items()}
        for source, total in totals.items()
    }
