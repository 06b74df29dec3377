"""How commands tell how freshness stands; what it is stands in `storage.slo`."""

from datetime import datetime
from decimal import Decimal

from opsmeter_pipeline.cli.app import print_table
from opsmeter_pipeline.freshness.slo import JudgedSlo
from opsmeter_pipeline.storage.slo import Freshness

_SHOWN = ("scope", "state", "limit_seconds", "target_share", "good_share", "events", "late",
          "clock", "waiting_lines", "waiting_late_lines", "left_late", "burning")  # fmt: skip


def tell_freshness(freshness: Freshness) -> dict[str, object]:
    """Return how freshness stands as one JSON object."""
    hour = freshness.last_hour
    measured = hour.good + hour.late
    return {
        "state": freshness.state.value,
        "p95_seconds": freshness.p95_seconds,
        "last_hour": hour._asdict(),
        "good_share": _round(Decimal(hour.good) / measured) if measured else None,
        "waiting_files": len(freshness.waiting),
        "waiting_bytes": sum(one.waiting_bytes for one in freshness.waiting),
        "waiting_lines_estimate": round(sum(one.lines for one in freshness.waiting)),
        "oldest_waiting_at": freshness.oldest_waiting_at,
        "complete_through": freshness.complete_through,
        "last_event_at": freshness.last_event_at,
        "last_probe_at": freshness.last_probe_at,
        "slos": [_tell_slo(one) for one in freshness.slos],
    }


def print_freshness(freshness: Freshness) -> None:
    """Print how freshness stands: the last hour and what waits, then each objective."""
    told = tell_freshness(freshness)
    names = ("state", "p95_seconds", "good_share", "waiting_files", "waiting_lines_estimate",
             "oldest_waiting_at", "last_event_at")  # fmt: skip
    print_table([{name: _show(told[name]) for name in names}], title="freshness, last hour (UTC)")
    rows = [
        {**_tell_slo(one), "burning": ", ".join(b.severity for b in one.burns if b.is_burning)}
        for one in freshness.slos
    ]
    print_table([{name: _show(row[name]) for name in _SHOWN} for row in rows], title="objectives")
    print_table([{name: row[name] for name in ("scope", "reason")} for row in rows])


def _tell_slo(slo: JudgedSlo) -> dict[str, object]:
    return {
        "scope": slo.scope.name,
        "state": slo.state.value,
        "reason": slo.reason,
        **slo.scope.objective.model_dump(),
        "good_share": None if slo.good_share is None else _round(slo.good_share),
        "events": slo.tally.events,
        **slo.tally._asdict(),
        "waiting_lines": slo.waiting_lines,
        "waiting_late_lines": slo.waiting_late_lines,
        "allowed_late": slo.allowed_late,
        "left_late": slo.left_late,
        "burns": [
            {
                **vars(one),
                "factor": _round(one.factor),
                "long_rate": None if one.long_rate is None else _round(one.long_rate),
                "short_rate": None if one.short_rate is None else _round(one.short_rate),
            }
            for one in slo.burns
        ],
    }


def _round(share: Decimal) -> Decimal:
    """Return a share with six decimals, downwards: 0.9499999 is not 0.95."""
    return share.quantize(Decimal("0.000001"), "ROUND_FLOOR")


def _show(value: object) -> object:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return "-" if value is None else value
