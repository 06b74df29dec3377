"""A day of lively telemetry with known faults, for `opsmeter demo` and the tests behind it.

Holds the one call that writes the day into landing and returns what it seeded.
Add here only a new step of the whole. Keep out: how traffic looks (demo_traffic, demo_endpoints),
what is wrong with it (demo_faults), the counting (demo_summary), the encoding (landed_files).
Before it in the flow: those five. After it: landing, which the pipeline reads as any other.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from random import Random

from opsmeter_pipeline.model.clock import from_epoch_ms
from opsmeter_pipeline.model.errors import UsageError
from opsmeter_pipeline.producers.demo_day import (
    DemoDay,
    DemoHour,
    Line,
    RawLine,
    build_demo_day,
)
from opsmeter_pipeline.producers.demo_endpoints import build_population
from opsmeter_pipeline.producers.demo_faults import (
    build_bad_lines,
    build_blank_lines,
    redeliver_lines,
    vary_lines,
)
from opsmeter_pipeline.producers.demo_summary import DemoSummary, Seeded, summarise
from opsmeter_pipeline.producers.demo_traffic import build_traffic
from opsmeter_pipeline.producers.landed_files import encode_file, land_file

_EVENTS_MIN = 1_000


def write_demo_day(
    landing: Path, *, now: datetime, seed: int = 7, events: int = 60_000
) -> DemoSummary:
    """Land the 24 hours before `now` as hourly files and return what was seeded.

    The same seed, `now` and `events` give the same bytes. A file's modification time is the end of
    its hour, at most `now`; each legal timestamp is at or before it. A file without lines (an hour
    that has just begun) is not written.

    Args:
        landing: the landing folder; made if absent.
        now: an aware time, the end of the day.
        seed: picks one of many days; tenants and users depend on it alone.
        events: logical requests before the spike; retries and copies come on top. At least 1,000,
            or the rare kinds find no line to happen to.

    Raises:
        UsageError: a demo file is there already, or `events` is too small; nothing is written.
    """
    if events < _EVENTS_MIN:
        message = f"A demo day needs at least {_EVENTS_MIN} events, not {events}. Ask for more."
        raise UsageError(message)
    day = build_demo_day(now=now)
    rng = Random(seed)
    population = build_population(seed=seed)
    traffic = build_traffic(day, population=population, rng=rng, seed=seed, events=events)
    good = vary_lines(traffic, day=day, rng=rng)
    seeded = Seeded(
        good=good,
        redelivered=redeliver_lines(good, day=day, rng=rng),
        bad=build_bad_lines(good, day=day, rng=rng, events=events),
        blank=build_blank_lines(day=day, rng=rng, events=events),
    )
    hours = _land_hours(landing, day=day, lines=seeded.all_lines())
    return summarise(seeded, day=day, hours=hours, spike_tenant_id=population.spike_tenant_id)


def _land_hours(landing: Path, *, day: DemoDay, lines: Sequence[Line | RawLine]) -> list[DemoHour]:
    """Land one file per hour that has lines, oldest first, and return those hours."""
    lines_by_hour: dict[DemoHour, list[Line | RawLine]] = {}
    for line in lines:
        lines_by_hour.setdefault(day.hour_of(line.sent_at_ms), []).append(line)
    path_by_hour = {hour: _path_of(hour, landing=landing) for hour in lines_by_hour}
    for path in path_by_hour.values():
        # A landed file never changes: the pipeline may have taken it already.
        if path.exists():
            message = f"{str(path)!r} has landed already. Remove it, or use another landing."
            raise UsageError(message)
    for hour, path in path_by_hour.items():
        content = encode_file(lines_by_hour[hour], file_format=hour.format)
        land_file(path, content, landed_at_ms=hour.end_ms)
    return list(path_by_hour)


def _path_of(hour: DemoHour, *, landing: Path) -> Path:
    started_at = from_epoch_ms(hour.started_at_ms)
    name = f"llm-usage-{started_at:%Y-%m-%dT%H}.{hour.format}"
    return landing / f"{started_at:%Y-%m-%d}" / name
