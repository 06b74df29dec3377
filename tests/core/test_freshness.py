"""Lags of hand-written events, and what is promised of them, at both sides of every limit."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from opsmeter_pipeline.freshness.counts import READS, count_arrivals, count_lags
from opsmeter_pipeline.freshness.run import judge_begin, judge_run, tell_lags
from opsmeter_pipeline.freshness.slo import (
    WINDOWS,
    SloState,
    Tally,
    allow_late,
    find_percentile,
    judge_slo,
)
from opsmeter_pipeline.freshness.waiting import Waiting, count_waiting
from opsmeter_pipeline.model.columns import INSTANT
from opsmeter_pipeline.model.lag import STEPS, bin_seconds, to_bin
from opsmeter_pipeline.model.objective import Scope, Slo
from opsmeter_pipeline.model.tables import EVENTS, MOVED_LINES
from opsmeter_pipeline.settings import load_settings

VISIBLE = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAYS_28 = timedelta(days=28)
SLO = Slo()
_READ = {name: EVENTS.schema[name] for name in READS}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def events(*ages: timedelta, endpoint: str = "chat.reply", **other: str) -> pl.DataFrame:
    """Return events of batch b that were ingested that long before they were visible."""
    told = {"environment": "prod", "data_mode": "real", "endpoint_tag": endpoint} | other
    rows = [
        {"batch_id": "b", "file": "f", "line_number": number, "ingested_at": VISIBLE - age, **told}
        for number, age in enumerate(ages, start=1)
    ]
    return pl.DataFrame(rows, schema=_READ)


def files(
    *,
    arrived_at: datetime = VISIBLE,
    visible_at: datetime | None = VISIBLE,
    landed_at: datetime = VISIBLE,
    landed_since_at: datetime | None = None,
) -> pl.DataFrame:
    row = {"batch_id": "b", "file": "f", "source": "f.*"}
    times = {"arrived_at": arrived_at, "visible_at": visible_at, "landed_at": landed_at,
             "landed_since_at": landed_since_at}  # fmt: skip
    return pl.DataFrame([row | times], schema_overrides=dict.fromkeys(times, INSTANT))


def count(frame: pl.DataFrame, *, slo: Slo = SLO, **of_files: datetime | None) -> pl.DataFrame:
    """Return the lags of events, which are the same if they are counted by arrival first."""
    read = [frame.lazy(), count_arrivals(frame).lazy()]
    each, together = (
        count_lags(one, files(**of_files), MOVED_LINES.empty(), slo=slo) for one in read
    )
    assert each.equals(together)
    return each


def bins(rows: pl.DataFrame, kind: str = "live") -> dict[int | None, int]:
    of_kind = rows.filter(pl.col("kind") == kind).group_by("lag_up_to_seconds")
    return dict(of_kind.agg(pl.sum("events")).iter_rows())


def test_an_event_is_good_up_to_the_limit_and_late_a_microsecond_after_it() -> None:
    rows = count(events(seconds(0), seconds(0.000001), seconds(300), seconds(300.000001)))
    assert bins(rows) == {0: 1, 1: 1, 300: 1, 305: 1}
    told = tell_lags(rows)
    assert (told["good"], told["late"], told["clock"]) == (3, 1, 0)
    assert rows["limit_seconds"].unique().to_list() == [300]


def test_an_ingest_time_after_the_visible_time_is_no_lag_and_never_good() -> None:
    rows = count(events(seconds(-0.000001), seconds(1)))
    assert bins(rows) == {None: 1, 1: 1}
    assert tell_lags(rows) == {
        "live_events": 2, "good": 1, "late": 0, "clock": 1,
        "p50_seconds": 1, "p95_seconds": 1, "p99_seconds": 1,
    }  # fmt: skip
    verdict = judge_run(rows, slo=SLO)
    assert not verdict.passed
    assert "0 late and 1 of unknown lag in prod/*" in verdict.summary


def test_a_file_that_waited_is_live_and_late_but_an_old_stamp_in_a_new_file_is_history() -> None:
    three_days = timedelta(days=3)
    assert bins(count(events(three_days), arrived_at=VISIBLE - three_days)) == {259_200: 1}
    ages = (timedelta(hours=24), timedelta(hours=24, microseconds=1))
    rows = count(events(*ages))
    assert bins(rows) == {86_400: 1}
    assert bins(rows, "history") == {87_840: 1}


def test_what_a_log_gained_is_spread_over_when_it_may_have_landed() -> None:
    """120 lines in two hours, seen 8 s after the last: one in each minute, 5 of them in time."""
    gained = {"landed_at": VISIBLE - seconds(8), "landed_since_at": VISIBLE - seconds(7208)}
    rows = count(events(*[seconds(8)] * 120), **gained)
    told = tell_lags(rows)
    assert (told["good"], told["late"], told["clock"]) == (5, 115, 0)
    assert rows["oldest_ingested_at"].min() == VISIBLE - seconds(7178)
    assert rows["ingested_hour_at"].n_unique() == 2
    # Who tells an ingest time is believed, and a line alone is taken to be from the middle.
    assert bins(count(events(seconds(9)), **gained)) == {9: 1}
    assert bins(count(events(seconds(8)), **gained)) == {3660: 1}
    assert rows["events"].sum() == 120


def test_a_moved_line_was_visible_when_it_was_moved_and_is_no_live_event() -> None:
    moved_at = VISIBLE + timedelta(days=2)
    place = {"batch_id": "b", "file": "f", "rule": "r", "run_id": "x"}
    moved = MOVED_LINES.arrange(
        pl.DataFrame(
            [
                {**place, "line_number": 1, "moved_at": moved_at},
                {**place, "line_number": 2, "moved_at": moved_at},
                {**place, "line_number": 2, "moved_at": None},  # moved again, not measured yet
            ],
            schema=MOVED_LINES.schema,
        )
    )
    three = events(seconds(10), seconds(10), seconds(10)).lazy()
    rows = count_lags(three, files(), moved, slo=SLO)
    assert bins(rows) == {10: 1}
    assert bins(rows, "replayed") == {bin_seconds(2 * 86_400 + 10): 1}
    assert rows.filter(kind="replayed")["visible_at"].to_list() == [moved_at]


def test_nothing_is_counted_of_no_events_or_before_the_visible_time_is_known() -> None:
    assert count(events()).is_empty()
    assert count(events(seconds(1)), visible_at=None).is_empty()
    assert judge_run(count(events()), slo=SLO).passed


_AGES = st.integers(-400_000_000, 40 * 86_400 * 1_000_000)


@given(st.lists(_AGES, min_size=1, max_size=40))
def test_each_event_is_in_one_row_and_a_percentile_is_within_its_error(ages: list[int]) -> None:
    rows = count(events(*(timedelta(microseconds=age) for age in ages)), arrived_at=VISIBLE
                 - timedelta(days=60))  # fmt: skip
    assert rows["events"].sum() == len(ages)
    known = sorted(age for age in ages if age >= 0)
    found = {lag: n for lag, n in bins(rows).items() if lag is not None}
    for share in (Decimal("0.5"), Decimal("0.95"), Decimal("0.99")):
        told = find_percentile(dict(found), share)
        rank = math.ceil(len(known) * share)  # nearest rank
        exact = Decimal(known[rank - 1]) / 1_000_000 if known else None
        assert (told is None) is (exact is None)
        if told is not None and exact is not None:
            assert exact <= told <= exact + max(1, exact / 60)


@given(st.integers(1, 10**9))
def test_both_ways_to_a_bin_agree_and_its_end_is_a_bin(lag: int) -> None:
    assert pl.DataFrame({"lag": [seconds(lag)]}).select(to_bin(pl.col("lag"))).item() == (
        bin_seconds(lag)
    )
    assert bin_seconds(bin_seconds(lag)) == bin_seconds(lag) >= lag


def test_each_step_begins_at_a_bin_of_the_next() -> None:
    assert all(step.above_seconds % step.width_seconds == 0 for step in STEPS)
    assert max(step.width_seconds / step.above_seconds for step in STEPS[1:]) == pytest.approx(
        1 / 60
    )


def judge(
    tally: Tally,
    *,
    short: Tally | None = None,
    slo: Slo = SLO,
    seen: float | None = 60,
    probed: float | None = None,
    waiting: tuple[int, int] = (0, 0),
):
    """Judge a tally that is the same in every window, but in those below an hour if told."""
    scope = slo.scopes[-1]
    tallies = {window: short or tally if window < timedelta(hours=1) else tally
               for window in (*WINDOWS, DAYS_28)}  # fmt: skip
    return judge_slo(
        scope,
        tallies,
        now=VISIBLE,
        silence=timedelta(hours=1),
        last_event_at=None if seen is None else VISIBLE - seconds(seen),
        last_probe_at=None if probed is None else VISIBLE - seconds(probed),
        waiting=waiting,
    )


def test_the_objective_is_met_up_to_the_budget_and_breached_by_one_event_more() -> None:
    met, breached = judge(Tally(950, 50)), judge(Tally(949, 51))
    assert (met.state, met.allowed_late, met.left_late) == (SloState.MET, 50, 0)
    assert (breached.state, breached.left_late) == (SloState.BREACHED, -1)
    assert met.good_share == Decimal("0.95")
    assert breached.reason == "51 of 1000 events late, 50 allowed"


def test_too_few_events_are_no_data_and_not_freshness() -> None:
    assert judge(Tally(19, 0)).state is SloState.NO_DATA
    assert judge(Tally(20, 0)).state is SloState.MET
    assert judge(Tally(0, 0), probed=60, seen=None).state is SloState.NO_DATA


def test_nothing_seen_is_a_breach_whatever_was_good_before() -> None:
    assert judge(Tally(1000, 0), seen=3600).state is SloState.MET
    silent = judge(Tally(1000, 0), seen=3600.000001)
    assert silent.state is SloState.BREACHED
    assert silent.reason.startswith("unknown: no event and no probe was seen since 2026-11-24 10:5")
    assert judge(Tally(1000, 0), seen=7200, probed=60).state is SloState.MET
    assert judge(Tally(), seen=None).reason == "unknown: no event and no probe was seen ever"


def test_unknown_lags_must_neither_save_nor_condemn() -> None:
    assert judge(Tally(960, 30, 10)).state is SloState.MET
    assert judge(Tally(960, 30, 30)).state is SloState.NO_DATA
    assert judge(Tally(900, 60, 40)).state is SloState.BREACHED


def test_what_waits_too_long_is_late_now() -> None:
    slo = judge(Tally(1000, 0), waiting=(80, 60))
    assert slo.tally == Tally(1000, 60)
    assert (slo.state, slo.waiting_lines, slo.waiting_late_lines) == (SloState.BREACHED, 80, 60)
    assert judge(Tally(1000, 0), waiting=(80, 0)).state is SloState.MET


@pytest.mark.parametrize(
    ("tally", "rate", "burning"),
    [
        (Tally(95, 5), "1", ["warning"]),  # 5 % late by 5 % allowed
        (Tally(96, 4), "0.8", []),
        (Tally(85, 15), "3", ["high", "warning"]),
        (Tally(70, 30), "6", ["critical", "high", "warning"]),
        (Tally(71, 29), "5.8", ["high", "warning"]),
        (Tally(0, 100), "20", ["critical", "high", "warning"]),  # the highest there can be
        (Tally(0, 19), None, []),  # too few to judge
    ],
)
def test_burn_rates_are_the_share_late_by_the_share_allowed(
    tally: Tally, rate: str | None, burning: list[str]
) -> None:
    slo = judge(tally)
    assert [one.long_rate for one in slo.burns] == [rate and Decimal(rate)] * 3
    assert [one.severity for one in slo.burns if one.is_burning] == burning


def test_a_burn_ends_when_the_short_window_is_good_again() -> None:
    slo = judge(Tally(0, 100), short=Tally(10, 0))
    assert [one.is_burning for one in slo.burns] == [False, False, True]
    assert judge(Tally(0, 100), short=Tally()).burns[0].short_rate is None


def test_no_factor_is_out_of_reach() -> None:
    half = Slo(target_share=Decimal("0.5"))  # at most twice the budget can burn
    assert [one.factor for one in judge(Tally(0, 100), slo=half).burns] == [1, 1, 1]
    assert all(one.is_burning for one in judge(Tally(0, 100), slo=half).burns)


def test_waiting_lines_are_late_once_older_than_the_limit() -> None:
    def late(since: float, until: float) -> float:
        one = Waiting("f", VISIBLE - seconds(since), VISIBLE - seconds(until), 4000, 10.0)
        return one.count_late(now=VISIBLE, limit_seconds=300)

    assert late(300, 300) == 0
    assert late(300.000001, 300.000001) == 10
    assert late(700, 0) == 5  # appended to all the time since: 10 x 400 / 700, the last one now
    one = Waiting("f", VISIBLE - seconds(900), VISIBLE - seconds(900), 1, 3.0, {"prod/*": 0.5})
    assert count_waiting([one], "prod/*", now=VISIBLE, limit_seconds=300) == (2, 2)
    assert count_waiting([one], "staging/*", now=VISIBLE, limit_seconds=300) == (0, 0)


def test_an_override_is_tried_before_production_and_counts_by_its_own_limit() -> None:
    slo = Slo.model_validate({"override": [
        {"endpoint": "batch.*", "limit_seconds": 3600},
        {"environment": "staging", "target_share": 0.5},
    ]})  # fmt: skip
    assert [scope.name for scope in slo.scopes] == ["prod/batch.*", "staging/*", "prod/*"]
    assert [scope.objective.limit_seconds for scope in slo.scopes] == [3600, 300, 300]
    assert slo.find_scope("prod", "batch.nightly") == slo.scopes[0]
    assert slo.find_scope("prod", "chat.reply") == slo.scopes[2]
    assert slo.find_scope("dev", "batch.nightly") is None
    rows = count(events(seconds(3600), endpoint="batch.nightly"), slo=slo)
    assert judge_run(rows, slo=slo).passed
    assert not judge_run(rows, slo=Slo()).passed  # judged by what is promised now


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[slo]\nlimit_seconds = 301", "not counted as finely as 301 s; use 300 or 305"),
        ("[slo]\ntarget_share = 1", "slo.target_share: Input should be less than 1"),
        ("[slo]\nlimit = 1", "slo.limit: Extra inputs are not permitted"),
        ("[[slo.override]]\nenvironment = 'live'", "slo.override.0.environment: Input should be"),
        ("[[slo.override]]\nlimit_seconds = 5", "override prod/* is told already"),
        (
            "[slo]\noverride = [{environment = 'dev'}, {environment = 'dev', endpoint = 'a.*'}]",
            "override dev/a.* stands after dev/*; put it before",
        ),
    ],
)
def test_a_wrong_objective_is_refused_by_name(
    text: str, message: str, tmp_path, monkeypatch
) -> None:
    (tmp_path / "opsmeter.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="Bad setting") as refused:
        load_settings()
    assert message in str(refused.value)


def test_the_target_is_exact_however_it_is_written() -> None:
    assert allow_late(100, Slo.model_validate({"target_share": 0.95}).target_share) == 5
    with pytest.raises(ValidationError):
        Slo(target_share=Decimal("NaN"))


def test_a_publish_that_was_visible_before_it_began_is_named() -> None:
    times = pl.DataFrame({"batch_id": ["b"], "begun_at": [VISIBLE], "visible_at": [VISIBLE]})
    assert judge_begin(times).passed
    early = times.with_columns(visible_at=pl.lit(VISIBLE - seconds(0.000001)))
    assert [one["batch_id"] for one in judge_begin(early).culprits] == ["b"]


def test_scopes_know_their_names() -> None:
    assert Scope("prod", "a.*", SLO).name == "prod/a.*"
