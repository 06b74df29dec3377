"""Figures for Prometheus, in its text format: of the warehouse, the landing and the server.

Written by hand: the format is a line for each figure, and these are few.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from opsmeter_pipeline.dashboard.answers import Answer
from opsmeter_pipeline.dashboard.badge import FRESH

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Metric:
    """One figure, or one for each set of labels.

    Attributes:
        name: with the unit as suffix, as Prometheus names things.
        kind: `gauge` or `counter`.
        meaning: what it is.
        values: by its labels as they are written; none if it is not known.
    """

    name: str
    kind: str
    meaning: str
    values: Mapping[str, float]


class RequestCounter:
    """How many requests were answered, by path and status. Safe for threads."""

    def __init__(self) -> None:
        """Begin at none."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, int]] = Counter()

    def add(self, path: str, status: int) -> None:
        """Count one; the path must be one of a closed set, for it becomes a label."""
        with self._lock:
            self._counts[path, status] += 1

    def tell(self) -> Metric:
        """Return the counts."""
        with self._lock:
            counts = dict(self._counts)
        values = {f'{{path="{path}",status="{status}"}}': float(number)
                  for (path, status), number in sorted(counts.items())}  # fmt: skip
        return Metric("opsmeter_http_requests_total", "counter", "Requests answered.", values)


def tell_warehouse(answer: Answer | None) -> Iterator[Metric]:
    """Yield what is known of warehouse and landing; of one that cannot be read, only that."""
    readable = {"": float(answer is not None)}
    yield Metric("opsmeter_warehouse_readable", "gauge", "1 if it could be read.", readable)
    if answer is None:
        return
    held, look, badge = answer.published, answer.look, answer.freshness
    yield _gauge("fresh", "1 if the badge is fresh, else 0.", float(badge.state == FRESH))
    yield _gauge("complete_through_age_seconds",
                 "Seconds since all that had landed was visible.", badge.age_seconds)  # fmt: skip
    yield _gauge("last_publish_timestamp_seconds", "When the newest batch was visible.",
                 held.last_visible_at and held.last_visible_at.timestamp())  # fmt: skip
    yield _gauge("last_probe_timestamp_seconds", "When the page last showed a probe.",
                 held.last_probe_at and held.last_probe_at.timestamp())  # fmt: skip
    yield _gauge("waiting_files", "Files of which something waits.", look and look.waiting_files)
    yield _gauge("refused_files", "Files that cannot be taken.", look and look.refused_files)
    yield _gauge("snapshot_id", "The snapshot that was read.", held.snapshot_id)
    yield _gauge("batches", "Batches that are published.", held.batches)
    yield _gauge("events", "Events that are published.", held.events)
    yield _gauge("quarantined_lines", "Lines that broke a rule.", held.quarantined)


def write_metrics(metrics: Iterator[Metric] | list[Metric]) -> str:
    r"""Return metrics in the text format.

    >>> write_metrics([Metric("a_seconds", "gauge", "How long.", {"": 1.5})])
    '# HELP a_seconds How long.\n# TYPE a_seconds gauge\na_seconds 1.5\n'
    """
    lines: list[str] = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {metric.meaning}", f"# TYPE {metric.name} {metric.kind}"]
        lines += [f"{metric.name}{labels} {value!r}" for labels, value in metric.values.items()]
    return "\n".join(lines) + "\n"


def _gauge(name: str, meaning: str, value: float | None) -> Metric:
    return Metric(f"opsmeter_{name}", "gauge", meaning, {} if value is None else {"": value})
