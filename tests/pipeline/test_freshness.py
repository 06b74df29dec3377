"""Freshness through the whole job: each event's lag counted once, and a stopped pipeline seen."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

import assets.publish
from opsmeter_pipeline.freshness.counts import count_arrivals
from opsmeter_pipeline.freshness.slo import SloState, Tally
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.objective import Slo
from opsmeter_pipeline.model.tables import EVENTS, FRESHNESS_LAGS, INGEST_BATCHES, INGEST_FILES
from opsmeter_pipeline.orchestration.jobs import take_batches
from opsmeter_pipeline.quality.relations import RELATIONS
from opsmeter_pipeline.storage.freshness import Counted, write_lags
from opsmeter_pipeline.storage.lake import create_table_sql
from opsmeter_pipeline.storage.slo import judge_freshness, read_freshness
from opsmeter_pipeline.storage.survey import survey_landing
from tests.pipeline.conftest import MakeHome
from tests.pipeline.probes import show_probe
from tests.pipeline.replays import held, stricter_contract
from tests.pipeline.support import (
    PipelineHome,
    call_opsmeter,
    failure_of,
    hours,
    jsonl,
    payload,
)

OF_BATCH = "batch_id, kind, environment, data_mode, endpoint_tag, ingested_hour_at"
COUNTED = f"""
    SELECT {OF_BATCH}, sum(events)::BIGINT AS events,
        coalesce(sum(events) FILTER (lag_up_to_seconds <= 300), 0)::BIGINT AS good,
        coalesce(sum(events) FILTER (lag_up_to_seconds IS NULL), 0)::BIGINT AS clock,
        min(oldest_ingested_at) AS oldest
    FROM freshness_lags GROUP BY ALL ORDER BY ALL
"""
BY_HAND = f"""
    WITH seen AS (
        SELECT e.*, coalesce(m.moved_at, b.visible_at) AS visible, CASE
            WHEN m.moved_at IS NOT NULL THEN 'replayed'
            WHEN e.ingested_at < greatest(f.landed_at, (SELECT min(looked_at) FROM watermarks))
                - INTERVAL 24 HOUR THEN 'history' ELSE 'live' END AS kind,
            date_trunc('hour', e.ingested_at) AS ingested_hour_at
        FROM events e JOIN ingest_batches b USING (batch_id)
        JOIN ingest_files f USING (batch_id, file)
        LEFT JOIN moved_lines m USING (batch_id, file, line_number)
    )
    SELECT {OF_BATCH}, count(*) AS events,
        count(*) FILTER (visible >= ingested_at AND visible - ingested_at <= INTERVAL 300 SECOND)
            AS good,
        count(*) FILTER (visible < ingested_at) AS clock, min(ingested_at) AS oldest
    FROM seen GROUP BY ALL ORDER BY ALL
"""
"""The same from the events themselves, by plain interval arithmetic."""


def _ago(now: datetime, seconds: float) -> str:
    return (now - timedelta(seconds=seconds)).isoformat()


@pytest.fixture(scope="module")
def measured(make_home: MakeHome) -> PipelineHome:
    """Three batches: the second's writer died before it measured, the first was replayed."""
    home, now = make_home(), utc_now()
    with stricter_contract():
        home.land("chat-01.jsonl", jsonl(
            *(payload(f"l{n}") for n in range(30)),  # ingested when the file landed
            payload("told", ingestedAt=_ago(now, 290)),
            payload("late", ingestedAt=_ago(now, 400)),
            payload("old", ingestedAt=_ago(now, 86_400 * 3)),
            payload("ahead", ingestedAt=_ago(now, -240)),  # within what the contract allows
            payload("test", dataMode="test"),
            payload("staging", environment="staging", endpointTag="batch.nightly"),
            payload("held", **held()),
        ), landed_at=now - timedelta(seconds=5))  # fmt: skip
        assert home.take_all() == 1
    home.land("chat-02.jsonl", jsonl(payload("n1"), payload("n2")), landed_at=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets.publish, "note_visible", _die)
        result = home.run(now.date())
    assert not result.success
    assert "died" in failure_of(result)
    home.between = read_freshness(home.settings, now=utc_now() + timedelta(seconds=400))
    home.land("chat-03.jsonl", jsonl(payload("n3")), landed_at=None)
    home.result = home.run(now.date())
    assert home.result.success
    first = home.value("SELECT min(batch_id) FROM ingest_batches")
    home.first_lags = home.rows(COUNTED)
    replayed = home.run(now.date(), config=take_batches([first], log_level="CRITICAL"))
    assert replayed.success, failure_of(replayed)
    return home


def _die(*_: object, **__: object) -> None:
    msg = "the writer died here"
    raise RuntimeError(msg)


def test_the_counts_are_those_of_the_events_themselves(measured: PipelineHome) -> None:
    counted = measured.rows(COUNTED)
    assert counted == measured.rows(BY_HAND)
    by_kind = "SELECT kind, sum(events)::BIGINT FROM freshness_lags GROUP BY kind ORDER BY kind"
    assert measured.rows(by_kind) == [("history", 1), ("live", 38), ("replayed", 1)]
    # A replay leaves what was seen before as it was.
    assert [row for row in counted if row[1] != "replayed"] == measured.first_lags


def test_a_batch_whose_writer_died_waits_and_gets_the_next_moment(measured: PipelineHome) -> None:
    between = measured.between
    assert [(one.file, one.lines) for one in between.waiting] == [("chat-02.jsonl", 2.0)]
    assert between.slos[0].waiting_late_lines == 2  # its source's production share, rounded up
    second, third = measured.rows("SELECT visible_at FROM ingest_batches ORDER BY batch_id")[1:]
    assert second == third


def test_a_publish_begins_before_it_is_visible(measured: PipelineHome) -> None:
    times = "batch_times JOIN ingest_batches USING (batch_id)"
    order = "taken_at < validated_at AND validated_at <= begun_at AND begun_at < visible_at"
    assert measured.rows(f"SELECT count(*), count(*) FILTER ({order}) FROM {times}") == [(3, 3)]
    log = """
        SELECT count(*) FROM ducklake_snapshots('lake') JOIN batch_times
        ON contains(commit_message, batch_id) JOIN ingest_batches USING (batch_id)
        WHERE replayed_at IS NULL AND begun_at <= snapshot_time AND snapshot_time < visible_at
    """
    assert measured.value(log) == 2
    stages = measured.rows(
        "SELECT landing_seconds + validating_seconds + waiting_to_publish_seconds "
        "+ publishing_seconds - date_diff('millisecond', first_landed_at, visible_at) / 1000 "
        "FROM batch_stages"
    )
    assert len(stages) == 3
    assert all(abs(rest) < 0.004 for (rest,) in stages)  # four times cut to a millisecond


def test_what_is_published_keeps_its_promises(measured: PipelineHome) -> None:
    for table in ("freshness_lags", "batch_times"):
        for promise in RELATIONS[table]:
            assert measured.rows(promise.culprits) == [], promise.meaning


def test_the_views_count_live_events_and_show_the_others_apart(measured: PipelineHome) -> None:
    sums = "sum(events)::BIGINT, sum(good)::BIGINT, sum(late)::BIGINT, sum(clock)::BIGINT, \
        sum(history_events)::BIGINT, sum(replayed_events)::BIGINT"
    production = "environment = 'prod' AND data_mode = 'real'"
    for view in ("freshness_hourly", "freshness_daily"):
        found = measured.rows(f"SELECT {sums} FROM {view} WHERE {production}")
        # 30 with the landing's time, told, ahead, n1 to n3 and late; held is the replayed one
        assert found == [(36, 34, 1, 1, 1, 1)]
    exact = """
        SELECT max(epoch_us(visible_at) - epoch_us(ingested_at)) / 1e6 FROM events
        JOIN ingest_batches USING (batch_id) WHERE external_request_id = 'late'
    """
    assert measured.value("SELECT max(max_seconds) FROM freshness_daily") == measured.value(exact)


def test_each_run_says_how_late_its_own_events_were(measured: PipelineHome) -> None:
    found = {one.check_name: one for one in measured.result.get_asset_check_evaluations()}
    assert found["freshness_slo"].passed
    assert found["begin_before_visible"].passed
    figures = found["freshness_slo"].metadata
    assert figures["live_events"].value == 3  # n3, and n1 and n2 of the run that died
    (told,) = [
        one.metadata
        for one in measured.result.asset_materializations_for_node("published_tables")
        if one.asset_key.to_user_string() == "freshness_lags"
    ]
    assert told["good"].value == 3
    assert told["p95_seconds"].value >= 1


def test_a_stopped_pipeline_is_stale_at_once_for_whoever_asks(measured: PipelineHome) -> None:
    home, now = measured, utc_now()
    show_probe(home.resource.lake, now)
    fresh = read_freshness(home.settings, now=now)
    assert fresh.last_probe_at == now
    assert (fresh.state, fresh.waiting) == (SloState.NO_DATA, ())
    assert fresh.slos[-1].reason == (
        "1 of 36 events late, 1 allowed; the lag of 1 is unknown, a clock is wrong"
    )
    assert fresh.slos[-1].tally == Tally(34, 1, 1)
    assert fresh.last_hour == Tally(34, 1)  # what lags is unknown of is in neither
    now = now.replace(microsecond=0)  # a file's time is told in floats
    path = home.land("chat-04.jsonl", jsonl(*(payload(f"w{n}") for n in range(90))), landed_at=now)
    try:
        limit = timedelta(seconds=300)
        waits = read_freshness(home.settings, now=now + limit)
        assert waits.slos[-1].waiting_late_lines == 0
        stale = read_freshness(home.settings, now=now + limit + timedelta(seconds=1))
        assert stale.state is SloState.BREACHED
        assert stale.oldest_waiting_at == now
        assert stale.complete_through <= now
        assert [one.severity for one in stale.slos[-1].burns if one.is_burning] == [
            "critical", "high", "warning"
        ]  # fmt: skip
        assert stale.p95_seconds is not None
        assert stale.p95_seconds >= 300
        late = stale.slos[-1].waiting_late_lines
        assert 60 < late < 110  # an estimate from the source's bytes per line
        _, out, _ = call_opsmeter("status", "--json", home=home.folder)
        told = json.loads(out)["freshness"]
        assert told["waiting_lines_estimate"] == round(stale.waiting[0].lines)
        assert told["slos"][0]["target_share"] == "0.95"
    finally:
        path.unlink()
    silent = read_freshness(home.settings, now=now + hours(2))
    assert silent.slos[-1].reason.startswith("unknown: no event and no probe was seen since")


def test_another_objective_judges_all_that_was_counted_before(measured: PipelineHome) -> None:
    narrow = Slo.model_validate({"limit_seconds": 450, "target_share": Decimal("0.9")})
    settings = measured.settings.model_copy(update={"slo": narrow})
    assert read_freshness(settings, now=utc_now()).slos[-1].tally == Tally(35, 0, 1)


def test_counting_a_batch_reads_what_its_run_staged_and_no_history(tmp_path: Path) -> None:
    """There is no table of events, files or moved lines here that could be read."""
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for table in (INGEST_BATCHES, FRESHNESS_LAGS):
            con.execute(create_table_sql(table).replace(" NOT NULL", ""))
        con.execute("CREATE TABLE watermarks (number BIGINT, looked_at TIMESTAMPTZ)")
        con.execute("INSERT INTO ingest_batches (batch_id, visible_at) VALUES ('b', ?)", [now])
        place = {"batch_id": "b", "file": "f-1.jsonl"}
        served = {"environment": "prod", "data_mode": "real", "endpoint_tag": "chat.reply"}
        event = {**place, **served, "ingested_at": now - timedelta(seconds=7)}
        for name, table, row in (
            ("events", EVENTS, event),
            ("files", INGEST_FILES, {**place, "landed_at": now}),
        ):
            pl.DataFrame([row], schema=table.schema).write_parquet(tmp_path / name)
        arrivals = tmp_path / "arrivals"
        count_arrivals(pl.read_parquet(tmp_path / "events")).write_parquet(arrivals)
        counted = Counted(
            ["b"], [arrivals], [tmp_path / "events"], [tmp_path / "files"], tmp_path / "rows", Slo()
        )
        rows = write_lags(con, ["b"], counted, is_new=True)
        assert con.sql(
            "SELECT source, lag_up_to_seconds, events FROM freshness_lags"
        ).fetchall() == [("f-*", 7, 1)]
    assert rows.height == 1


def test_what_was_appended_while_nobody_looked_is_late_before_and_after_it_is_taken(
    home: PipelineHome,
) -> None:
    lines = [payload(f"a{n}", timestamp=None) for n in range(100)]
    home.land("app.jsonl", jsonl(*lines), landed_at=None)
    home.take_all()
    # Two hours pass in which nobody looks, and a line is appended each minute.
    home.resource.lake.transact(
        lambda con: con.execute("""
        UPDATE watermarks SET looked_at = looked_at - INTERVAL 2 HOUR,
            complete_through = complete_through - INTERVAL 2 HOUR
    """)
    )
    lines += [payload(f"b{n}", timestamp=None) for n in range(120)]
    home.land("app.jsonl", jsonl(*lines), landed_at=None)
    waiting = _tally(home)
    home.take_all()
    taken = _tally(home)
    assert waiting.late > 100
    assert (taken.late, taken.good) == (115, 105)
    (since, at) = home.rows(
        "SELECT landed_since_at, landed_at FROM ingest_files ORDER BY byte_start"
    )[1]
    assert timedelta(hours=1.9) < at - since < timedelta(hours=2.1)
    # A backfill reads the slice as it was taken, and counts the same.
    home.run(at.date(), replay=True)
    assert _tally(home) == taken


def _tally(home: PipelineHome) -> Tally:
    survey = survey_landing(
        home.resource.landing_files(), home.resource.lake, settings=home.settings, now=utc_now()
    )
    (slo,) = judge_freshness(home.resource.lake, survey, settings=home.settings).slos
    return slo.tally._replace(late=slo.tally.late + slo.waiting_late_lines)
