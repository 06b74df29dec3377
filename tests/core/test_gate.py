"""The gate's reasons: what is open, what is closed, and that not to know is never open."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

from opsmeter_pipeline.cli.junit import write_junit
from opsmeter_pipeline.gate import (
    Backlog,
    Counted,
    Ledger,
    Reason,
    ReasonState,
    is_open,
    judge_backlog,
    judge_budget,
    judge_clock,
    judge_incidents,
    judge_ledger,
    judge_probe,
    judge_prompts,
    judge_runs,
    judge_seen,
    judge_share,
    judge_unpromised,
    judge_unread,
    judge_watermark,
    waive,
)
from opsmeter_pipeline.model.lengths import parse_length
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.orchestration.gate import choose_slo

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OPEN, CLOSED, UNKNOWN = ReasonState.OPEN, ReasonState.CLOSED, ReasonState.UNKNOWN
DAY = Counted("prod/*", timedelta(days=1), 300, Decimal("0.95"), 20, good=95, late=5, clock=0,
              allowed_late=5)  # fmt: skip


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


@pytest.mark.parametrize(
    ("change", "state", "said"),
    [
        ({}, OPEN, "5 of 100 events late, 5 allowed"),
        ({"good": 94, "late": 6}, CLOSED, "6 of 100 events late, 5 allowed"),
        ({"good": 94, "clock": 1}, UNKNOWN, "the lag of 1 is unknown, a clock is wrong"),
        ({"good": 15, "late": 4, "allowed_late": 0}, UNKNOWN, "too few events to judge"),
        ({"good": 16, "late": 4, "allowed_late": 1}, CLOSED, "4 of 20 events late"),
        ({"good": 0, "late": 0, "allowed_late": 0}, UNKNOWN, "0 of 0 events late, 0 allowed; too"),
    ],
)
def test_a_share_is_open_up_to_what_is_allowed_and_never_without_events(change, state, said):
    for judge in (judge_share, judge_budget):
        assert judge(replace(DAY, **change)).state is state
    assert said in judge_share(replace(DAY, **change)).found


def test_a_budget_that_burns_is_closed_although_some_is_left():
    calm, burning = replace(DAY, late=1), replace(DAY, late=1, burning=("critical", "warning"))
    assert judge_budget(calm).found == "4 of 5 late events left"
    assert judge_budget(replace(calm, burning=("warning",))).state is OPEN
    assert judge_budget(burning).state is CLOSED
    assert "it burns: critical" in judge_budget(burning).found
    assert judge_budget(replace(burning, good=3)).state is CLOSED  # also with few events
    assert judge_share(burning).state is OPEN  # what burns is the budget's matter


def test_one_waiting_line_beyond_its_objective_closes():
    at = ago(minutes=9)
    assert judge_backlog(Backlog(70, 0, at, 300)).state is OPEN
    late = judge_backlog(Backlog(70, 1, at, 300))
    assert (late.state, late.found) == (
        CLOSED,
        "1 of about 70 waiting lines are late, the oldest waits since 2026-11-24 11:51:00 UTC",
    )


def test_the_ledger_is_open_only_if_there_are_batches_and_all_balance():
    assert judge_ledger(Ledger(3, ())).state is OPEN
    assert judge_ledger(Ledger(0, ())).state is UNKNOWN
    broken = judge_ledger(Ledger(9, ("b1", "b2", "b3", "b4")))
    assert (broken.state, broken.found) == (CLOSED, "4 of 9 batches do not balance: b1, b2, b3")


def test_no_incident_is_no_proof_if_nobody_has_looked():
    judge = partial(judge_incidents, unjudged=[], now=NOW)
    assert judge([], looked_at=ago(minutes=10)).state is OPEN
    assert judge([], looked_at=ago(minutes=10, seconds=1)).state is UNKNOWN
    assert judge([], looked_at=None).found.endswith("nobody has looked ever")
    found = judge([], looked_at=ago(minutes=1), unjudged=["run_failed", "slo_burn"])
    assert found.state is UNKNOWN
    assert found.found == "none is open, but not judged: run_failed, slo_burn"
    found = judge(["inc_1"], looked_at=None)
    assert (found.state, found.next_step) == (CLOSED, "opsmeter incident show inc_1")


def test_a_failed_run_that_nothing_made_good_closes():
    assert judge_runs([]).state is OPEN
    assert judge_runs(["r1", "r2"]).found == "failed runs of ingest: 2 (r1, r2)"
    assert judge_runs(["r1"]).state is CLOSED


def test_recent_is_up_to_the_limit_and_not_a_second_more():
    limit, second = timedelta(seconds=300), timedelta(seconds=1)
    assert judge_watermark(NOW - limit, limit=limit, now=NOW).state is OPEN
    assert judge_watermark(NOW - limit - second, limit=limit, now=NOW).state is CLOSED
    assert judge_probe(ago(minutes=15), now=NOW).state is OPEN
    assert judge_probe(ago(minutes=15, seconds=1), now=NOW).state is UNKNOWN
    assert judge_probe(None, now=NOW).state is UNKNOWN
    assert judge_clock(NOW + 5 * second, now=NOW).state is OPEN
    assert judge_clock(NOW + 6 * second, now=NOW).state is UNKNOWN
    assert judge_clock(None, now=NOW).state is UNKNOWN


def test_silence_is_unknown_and_a_probe_breaks_it():
    hour = timedelta(hours=1)
    old = {"silence": hour, "now": NOW}
    assert judge_seen(ago(hours=1), last_probe_at=None, **old).state is OPEN
    assert judge_seen(ago(hours=2), last_probe_at=None, **old).state is UNKNOWN
    assert judge_seen(ago(hours=2), last_probe_at=ago(minutes=4), **old).state is OPEN
    assert judge_seen(None, last_probe_at=None, **old).state is UNKNOWN


def test_only_open_or_waived_reasons_open_the_gate():
    good = judge_ledger(Ledger(1, ()))
    assert is_open([good])
    assert not is_open([])
    for bad in (
        judge_unread("runs", "no"),
        judge_unpromised("freshness", "dev"),
        judge_runs(["r"]),
    ):
        assert not is_open([good, bad])
        assert is_open(waive([good, bad], [bad.name]))
    of_two = [judge_share(replace(DAY, late=9)), judge_share(replace(DAY, scope="prod/batch.*"))]
    assert is_open(waive(of_two, ["freshness"]))
    assert is_open(waive(of_two, ["freshness prod/*"]))
    assert not is_open(waive(of_two, ["freshness prod/batch.*"]))


def test_a_p95_stands_for_all_objectives_of_its_environment():
    own = Slo.model_validate({"override": [{"endpoint": "batch.*", "limit_seconds": 3600}]})
    assert choose_slo(own, environment="prod", limit_seconds=None) is own
    (prod,) = choose_slo(own, environment="prod", limit_seconds=60).scopes
    assert (prod.name, prod.objective.limit_seconds) == ("prod/*", 60)
    strict = Slo.model_validate({"target_share": "0.99", "limit_seconds": 10})
    staging = choose_slo(strict, environment="staging", limit_seconds=60).scopes[0]
    assert (staging.name, staging.objective.limit_seconds) == ("staging/*", 60)
    assert staging.objective.target_share == Decimal("0.95")
    with pytest.raises(ValidationError, match="use 300 or 305"):
        choose_slo(own, environment="prod", limit_seconds=301)


@pytest.mark.parametrize("text", ["", "5", "m", "0m", "-5m", "5 m", "5M", "1.5h", "5m ", "\u0665m"])
def test_what_is_no_length_is_none(text):
    assert parse_length(text) is None


def test_junit_has_a_case_for_each_reason_and_can_be_parsed_whatever_was_found():
    reasons = waive(
        [
            judge_ledger(Ledger(1, ())),
            judge_runs(["r1"]),
            judge_probe(None, now=NOW),
            Reason("odd", UNKNOWN, 'a \x00 \x1b[31m <b> & "\ud800', "\ufffe", "next"),
        ],
        ["probe"],
    )
    text = write_junit(reasons, environment="prod", now=NOW)
    root = ET.fromstring(text.encode())
    (suite,) = root
    assert (root.tag, suite.tag) == ("testsuites", "testsuite")
    counts = {"tests": "4", "failures": "2", "errors": "0"}
    assert counts.items() <= suite.attrib.items()
    assert counts.items() <= root.attrib.items()
    assert (suite.get("skipped"), suite.get("timestamp")) == ("1", "2026-11-24T12:00:00")
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {
        "ledger": ["system-out"],
        "runs": ["failure"],
        "probe": ["skipped"],
        "odd": ["failure"],
    }
    failure = suite.find("testcase[@name='runs']/failure")
    assert failure.get("message") == "closed: failed runs of ingest: 1 (r1)"
    assert failure.get("type") == "closed"
    assert "next: opsmeter doctor" in failure.text


@pytest.mark.parametrize(
    ("regressed", "unknown", "compared", "state"),
    [
        ([], [], 3, ReasonState.OPEN),
        ([], [], 0, ReasonState.UNKNOWN),
        ([], ["chat v2"], 3, ReasonState.UNKNOWN),
        (["chat v2: verbosity"], ["chat v3"], 3, ReasonState.CLOSED),
    ],
)
def test_a_regressed_prompt_closes_and_one_that_nobody_can_judge_opens_nothing(
    regressed: list[str], unknown: list[str], compared: int, state: ReasonState
) -> None:
    reason = judge_prompts(regressed, unknown, compared=compared)
    assert (reason.name, reason.state) == ("prompt", state)
    assert all(name in reason.found for name in (regressed or unknown)[:3])
