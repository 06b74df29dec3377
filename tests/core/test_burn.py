"""When a budget of freshness burns; rates are worked out beside each case."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from opsmeter_pipeline.freshness.burn import judge_burn
from opsmeter_pipeline.freshness.slo import WINDOWS, Tally, judge_slo
from opsmeter_pipeline.model.objective import Objective, Scope

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SCOPE = Scope("prod", "chat.*", Objective())


def _judge(late: dict[timedelta, int], *, waiting: tuple[int, int] = (0, 0), events: int = 1000):
    """Return the conditions of 1,000 events in each window, of which so many are late."""
    windows = (*WINDOWS, 28 * DAY)
    tallies = {one: Tally(events - late.get(one, 0), late.get(one, 0)) for one in windows}
    slo = judge_slo(SCOPE, tallies, now=NOW, silence=HOUR, last_event_at=NOW,
                    last_probe_at=None, waiting=waiting)  # fmt: skip
    return judge_burn([slo], now=NOW)


def test_nothing_late_burns_nothing() -> None:
    assert _judge({}) == []


def test_a_burn_needs_both_windows() -> None:
    """30 % late is 6 times the 5 % that are allowed, from which on an hour is critical."""
    assert _judge({HOUR: 300}) == []
    [found] = _judge({HOUR: 300, timedelta(minutes=5): 300})
    assert found.key == ("slo:prod/chat.*", "slo_burn", "1h/5m")
    assert (found.severity, found.value, found.limit) == ("critical", 6.0, 6.0)
    assert found.since_at == NOW - timedelta(minutes=5)
    # 0 of 28 days' 1,000 events were late, and 50 may be.
    assert "of 50 late events allowed in 28 days 50 are left" in found.what


def test_one_event_less_than_the_factor_does_not_burn() -> None:
    assert _judge({HOUR: 299, timedelta(minutes=5): 300}) == []


def test_a_slow_burn_is_a_warning() -> None:
    [found] = _judge({3 * DAY: 50, 6 * HOUR: 50})
    assert (found.key.rule_window, found.severity, found.value) == ("3d/6h", "warning", 1.0)


def test_what_waits_too_long_burns_before_it_is_visible() -> None:
    """900 late of 1,900 in each window is 9.47 times the 5 % allowed: all three rules."""
    found = _judge({}, waiting=(900, 900))
    assert [(one.key.rule_window, one.value) for one in found] == [
        ("1h/5m", 9.47), ("6h/30m", 9.47), ("3d/6h", 9.47),
    ]  # fmt: skip


@pytest.mark.parametrize("events", [0, 19])
def test_fewer_events_than_needed_burn_nothing(events: int) -> None:
    assert Objective().minimum_events == 20
    every = dict.fromkeys(WINDOWS, events)
    assert _judge(every, events=events) == []


def test_an_objective_that_allows_half_cannot_burn_faster_than_twice() -> None:
    objective = Objective(target_share=Decimal("0.5"))
    tallies = dict.fromkeys((*WINDOWS, 28 * DAY), Tally(0, 100))
    scope = Scope("prod", "*", objective)
    slo = judge_slo(scope, tallies, now=NOW, silence=HOUR, last_event_at=NOW, last_probe_at=None)
    # All late is twice what is allowed; half of that is the factor of every rule.
    assert [(one.value, one.limit) for one in judge_burn([slo], now=NOW)] == [(2.0, 1.0)] * 3
