"""What a demo day seeded, counted by kind, to hold against what the pipeline finds.

Holds the summary that `opsmeter demo` and the tests read, and the one way to count it from the
lines before they are written. Add a count here when the demo seeds a new kind of line.
Keep out: making lines (demo_traffic, demo_faults) and writing them (demo).
Before it in the flow: demo_traffic, demo_faults. After it: demo.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from opsmeter_pipeline.model.clock import from_epoch_ms
from opsmeter_pipeline.model.wire import COLUMN_OF
from opsmeter_pipeline.producers.demo_day import DemoDay, DemoHour, Line, Payload, RawLine
from opsmeter_pipeline.producers.demo_endpoints import UNPRICED_MODEL


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSummary:
    """What was seeded, to hold against what the pipeline finds.

    `lines` = `good_lines` + `redelivered_lines` + `bad_lines` in all + `blank_lines`; a CSV header
    is no line. The counts from `retries` to `unknown_field_lines` are over the good lines only, so
    they compare with accepted events.

    Attributes:
        files_by_format: number of files by ending, such as `jsonl.gz`.
        good_lines: lines to be accepted, each a billed attempt.
        redelivered_lines: second copies, to be counted as duplicates.
        restamped_lines: those of them with another timestamp than their first copy.
        bad_lines: lines to be quarantined, by rule; each breaks this rule only.
        retries: attempts after the first.
        inferred_retries: those of them whose client sends no `attempt`.
        defaulted_lines: with neither `dataMode` nor `environment`.
        unpriced_lines: with a model that no catalogue knows.
        unknown_field_lines: with a field the payload does not know.
        deploy_at: the middle of the roll-out of `summary_v4`.
        spike_tenant_id: whose `search.rerank` traffic is 12 times its usual in the spike hour.
        spike_started_at: the first instant of the spike's clock hour.
    """

    files: int
    files_by_format: Mapping[str, int]
    lines: int
    good_lines: int
    redelivered_lines: int
    restamped_lines: int
    blank_lines: int
    bad_lines: Mapping[str, int]
    retries: int
    inferred_retries: int
    test_lines: int
    demo_lines: int
    defaulted_lines: int
    missing_prompt_version_lines: int
    missing_endpoint_lines: int
    unpriced_lines: int
    unknown_field_lines: int
    deploy_at: datetime
    spike_tenant_id: str
    spike_started_at: datetime


@dataclass(frozen=True, slots=True)
class Seeded:
    """All lines of the day by kind."""

    good: Sequence[Line]
    redelivered: Sequence[Line]
    bad: Mapping[str, Sequence[RawLine]]
    blank: Sequence[RawLine]

    def all_lines(self) -> list[Line | RawLine]:
        """Every line in the order it was sent; a copy comes after its first on a tie."""
        bad = [line for lines in self.bad.values() for line in lines]
        every = [*self.good, *self.redelivered, *bad, *self.blank]
        return sorted(every, key=lambda line: line.sent_at_ms)


def summarise(
    seeded: Seeded, *, day: DemoDay, hours: Sequence[DemoHour], spike_tenant_id: str
) -> DemoSummary:
    """Return the counts of the seeded lines, with `hours` as the files that were written."""
    good = [line.payload for line in seeded.good]
    bad_lines = {rule: len(lines) for rule, lines in seeded.bad.items()}
    extra_lines = len(seeded.redelivered) + len(seeded.blank) + sum(bad_lines.values())
    return DemoSummary(
        files=len(hours),
        files_by_format=dict(Counter(hour.format for hour in hours)),
        lines=len(good) + extra_lines,
        good_lines=len(good),
        redelivered_lines=len(seeded.redelivered),
        restamped_lines=_count_restamped(seeded),
        blank_lines=len(seeded.blank),
        bad_lines=bad_lines,
        retries=_count_retries(good),
        inferred_retries=_count_retries([line for line in good if "attempt" not in line]),
        test_lines=_count(good, lambda line: line.get("dataMode") == "test"),
        demo_lines=_count(good, lambda line: line.get("dataMode") == "demo"),
        defaulted_lines=_count(good, lambda line: "dataMode" not in line),
        missing_prompt_version_lines=_count(good, lambda line: not line.get("promptVersion")),
        missing_endpoint_lines=_count(good, lambda line: not line.get("endpointTag")),
        unpriced_lines=_count(good, lambda line: line["model"] == UNPRICED_MODEL),
        unknown_field_lines=_count(good, lambda line: not line.keys() <= COLUMN_OF.keys()),
        deploy_at=from_epoch_ms(day.deploy_at_ms),
        spike_tenant_id=spike_tenant_id,
        spike_started_at=from_epoch_ms(day.spike_hour.started_at_ms),
    )


def _count(lines: Sequence[Payload], is_kind: Callable[[Payload], bool]) -> int:
    return sum(map(is_kind, lines))


def _count_retries(lines: Sequence[Payload]) -> int:
    return len(lines) - len({line["externalRequestId"] for line in lines})


def _count_restamped(seeded: Seeded) -> int:
    """Count the copies whose time none of the good lines of their request id has."""
    first_times = {_id_and_time(line) for line in seeded.good}
    return sum(_id_and_time(line) not in first_times for line in seeded.redelivered)


def _id_and_time(line: Line) -> tuple[str, str | int]:
    return line.payload["externalRequestId"], line.payload["timestamp"]
