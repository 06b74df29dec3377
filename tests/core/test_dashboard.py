"""What the page's server decides without a warehouse: freshness, parameters, access, wording."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import SecretStr

from opsmeter_pipeline.dashboard.access import MIN_TOKEN_CHARACTERS, require_token
from opsmeter_pipeline.dashboard.badge import judge_freshness
from opsmeter_pipeline.dashboard.metrics import RequestCounter, write_metrics
from opsmeter_pipeline.dashboard.page import show_money
from opsmeter_pipeline.dashboard.parameters import read_hours, read_limit, read_once
from opsmeter_pipeline.dashboard.reader import LandingWatch
from opsmeter_pipeline.model.dashboard_errors import (
    DashboardTokenError,
    ParameterError,
    UnknownParameterError,
)
from opsmeter_pipeline.model.hours import EVER
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.watermark import Watermark

NOW = datetime(2026, 11, 24, 3, 45, 30, tzinfo=UTC)
KNOWN = ("range", "from", "to", "limit")


def _look(age_seconds: float, *, waiting_files: int = 0) -> Watermark:
    through = NOW - timedelta(seconds=age_seconds)
    return Watermark(through, through, waiting_files, 0, 86400)


@pytest.mark.parametrize(
    ("look", "is_published", "state", "age"),
    [
        (_look(0), True, "fresh", 0),
        (_look(300, waiting_files=1), True, "fresh", 300),
        (_look(300.001, waiting_files=1), True, "late", 300.001),
        (_look(-0.5), True, "fresh", 0),  # two clocks of one machine
        (_look(-60), True, "unknown", -60),  # the look's clock is ahead
        (_look(301), True, "unknown", 301),  # nothing waited, but that was long ago
        (_look(0), False, "unknown", 0),
        (None, True, "unknown", None),
    ],
)
def test_the_badge_is_fresh_only_where_it_is_known(look, is_published, state, age) -> None:
    told = judge_freshness(
        look, last_visible_at=NOW if is_published else None, last_probe_at=None, now=NOW, slo=Slo()
    )
    assert (told.state, told.age_seconds) == (state, age)
    assert told.why.endswith(".")


@pytest.mark.parametrize(
    ("batch", "probe", "state"),
    [
        (3600, None, "fresh"),
        (3601, None, "unknown"),
        (7200, 3600, "fresh"),
        (7200, 3601, "unknown"),
        (60, 7200, "fresh"),
    ],
)
def test_a_calm_landing_is_fresh_only_while_a_batch_or_a_probe_was_seen(batch, probe, state):
    seen = [None if one is None else NOW - timedelta(seconds=one) for one in (batch, probe)]
    slo = Slo(silence_seconds=3600)
    told = judge_freshness(
        _look(0), last_visible_at=seen[0], last_probe_at=seen[1], now=NOW, slo=slo
    )
    assert told.state == state


def test_a_landing_that_cannot_be_listed_is_looked_at_again_and_its_error_kept() -> None:
    # In Python the error of a wait's end is also that of a connection that timed out.
    found: list[Exception | Watermark] = [OSError("gone"), TimeoutError("110"), _look(0)]

    def survey(_: datetime) -> Watermark:
        one = found.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    watch = LandingWatch(survey)
    assert (watch.look(NOW), watch.error) == (None, "OSError: gone")
    assert (watch.look(NOW), watch.error) == (None, "TimeoutError: 110")
    assert (watch.look(NOW), watch.error) == (_look(0), None)
    assert watch.look(NOW) == _look(0)  # kept: a third survey would have nothing to pop
    watch.close()


@pytest.mark.parametrize(
    ("given", "start", "end"),
    [
        ({"range": "today"}, "2026-11-24T00", "2026-11-25T00"),
        ({"range": "24h"}, "2026-11-23T04", "2026-11-24T04"),
        ({}, "2026-11-18T00", "2026-11-25T00"),
        ({"from": "2026-11-01", "to": "2026-11-02"}, "2026-11-01T00", "2026-11-02T00"),
        ({"from": "2026-11-23T05:30:00+05:30"}, "2026-11-23T00", "2026-11-25T00"),
        ({"to": "2026-11-02"}, "2026-10-26T00", "2026-11-02T00"),
    ],
)
def test_a_range_is_whole_utc_hours(given: dict[str, str], start: str, end: str) -> None:
    hours = read_hours(given, now=NOW)
    assert (f"{hours.start_at:%Y-%m-%dT%H}", f"{hours.end_at:%Y-%m-%dT%H}") == (start, end)


def test_all_time_holds_every_hour() -> None:
    assert read_hours({"range": "all"}, now=NOW) == EVER


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([("form", "2026-11-01")], "There is no parameter 'form' here. There are range, from, to"),
        ([("limit", "5"), ("limit", "6")], "limit='6': it is given twice"),
        ([("range", "x" * 1001)], "it has 1001 characters. Give at most 1000."),
        ([("range", "yesterday")], "Give one of today, 24h, 7d, 30d, all."),
        ([("range", "7d"), ("from", "2026-11-01")], "from and to say it already"),
        ([("from", "2026-11-02"), ("to", "2026-11-02")], "it is not before 2026-11-02T00:00:00Z"),
        ([("from", "2026-11-31")], "it is no day and no hour"),
        ([("from", "0001-01-01")], "there are no such events"),
        ([("to", "9999-12-31T23:00:00Z")], "there are no such events"),
        ([("to", "2026-11-02T10:00:00")], "it has no time zone"),
        ([("to", "2026-11-02T10:30:00Z")], "it is no full UTC hour"),
        ([("limit", "0")], "Give a whole number from 1 to 1000."),
        ([("limit", "1001")], "Give a whole number"),
        ([("limit", "-1")], "Give a whole number"),
        ([("limit", "²")], "Give a whole number"),
        ([("limit", "1" * 900)], "Give a whole number"),
    ],
)
def test_an_odd_parameter_is_refused_and_named(pairs: list[tuple[str, str]], text: str) -> None:
    with pytest.raises((ParameterError, UnknownParameterError)) as refused:
        _read(pairs)
    assert text in str(refused.value)
    assert pairs[-1][0] in str(refused.value) or "from" in str(refused.value)
    assert len(str(refused.value)) < 300


def _read(pairs: list[tuple[str, str]]) -> None:
    given = read_once(pairs, known=KNOWN)
    read_limit(given)
    read_hours(given, now=NOW)


def test_a_field_a_form_leaves_empty_is_not_given() -> None:
    assert read_once([("from", "2026-11-01"), ("to", "")], known=KNOWN) == {"from": "2026-11-01"}


@pytest.mark.parametrize(
    ("token", "host"),
    [
        (None, "0.0.0.0"),
        (None, "192.168.0.7"),
        (None, "::"),
        (None, "localhost.example.com"),
        ("", "127.0.0.1"),
        ("x" * (MIN_TOKEN_CHARACTERS - 1), "0.0.0.0"),
        ("x" * 31 + " y", "0.0.0.0"),
        ("x" * 31 + "é", "0.0.0.0"),
        ("x" * 31 + "\n", "0.0.0.0"),
    ],
)
def test_no_page_is_served_to_others_without_a_good_token(token: str | None, host: str) -> None:
    secret = None if token is None else SecretStr(token)
    with pytest.raises(DashboardTokenError, match="OPSMETER_DASHBOARD_TOKEN") as refused:
        require_token(secret, host=host)
    assert not token or token not in str(refused.value)


def test_loopback_needs_no_token_and_one_that_is_set_counts_there_too() -> None:
    assert require_token(None, host="::1") is None
    assert require_token(SecretStr("x" * 32), host="127.0.0.1") == "x" * 32


def test_money_without_a_price_is_never_zero() -> None:
    assert show_money(None, unpriced_attempts=3) == "unpriced"
    assert show_money(Decimal("0.00005")) == "< 0.0001"
    assert show_money(Decimal("0.00015")) == "0.0002"


def test_requests_are_counted_by_path_and_status() -> None:
    counter = RequestCounter()
    for status in (200, 200, 404):
        counter.add("/", status)
    assert write_metrics([counter.tell()]).splitlines()[2:] == [
        'opsmeter_http_requests_total{path="/",status="200"} 2.0',
        'opsmeter_http_requests_total{path="/",status="404"} 1.0',
    ]


def test_no_other_command_imports_the_server() -> None:
    code = (
        "import sys, opsmeter_pipeline.cli.commands, opsmeter_pipeline.cli.up\n"
        "print([n for n in sys.modules if n in ('uvicorn', 'jinja2.environment') "
        "or n.startswith('opsmeter_pipeline.dashboard')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
