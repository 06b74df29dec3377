"""Late data through the whole job: which days it changed, by which batch, and what still waits."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import duckdb
import pytest

from opsmeter_pipeline.landing import Candidate
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.watermark import Watermark
from opsmeter_pipeline.orchestration.sensors import landing_sensor
from opsmeter_pipeline.storage.landing import Landing
from opsmeter_pipeline.storage.lateness import (
    note_look,
    read_watermark,
    record_changes,
    sum_days,
)
from opsmeter_pipeline.storage.plan import plan_run
from opsmeter_pipeline.storage.slo import judge_freshness
from opsmeter_pipeline.storage.survey import survey_landing
from tests.pipeline.conftest import MakeHome
from tests.pipeline.replays import held, replay, stricter_contract
from tests.pipeline.support import (
    DAY,
    NOON,
    PipelineHome,
    call_opsmeter,
    failure_of,
    hours,
    jsonl,
    payload,
)

LOOKS = "SELECT batch_id, waiting_files, refused_files FROM watermarks ORDER BY number"
CENTS = Decimal("0.0035")


@pytest.fixture(scope="module")
def late(make_home: MakeHome) -> PipelineHome:
    """A day that two batches, a replay and a backfill brought, and a file that was refused."""
    home = make_home()
    with stricter_contract():
        home.land(
            "a.jsonl", jsonl(payload("a"), payload("h", **held()), payload("t", dataMode="test"))
        )
        home.land("notes.txt", b"not telemetry")
        home.take_all()
        home.land("b.jsonl", jsonl(payload("b")), landed_at=NOON + hours(24))
        home.take_all()
    replay(home, 0)
    home.run(DAY, replay=True)
    return home


def test_each_late_change_names_its_batch_and_amount(late: PipelineHome) -> None:
    first, second = late.rows("SELECT batch_id, visible_at FROM ingest_batches ORDER BY taken_at")
    (moved_at,) = late.rows("SELECT moved_at FROM moved_lines")[0]
    reported = "first_reported_at, final_at, day_was_final, change_tokens"
    assert late.rows(f"""
        SELECT batch_id, kind, visible_at, before_requests, change_requests, after_requests,
            before_cost_usd, change_cost_usd, after_cost_usd, {reported} FROM late_changes
    """) == [
        (second[0], "live", second[1], 1, 1, 2, CENTS, CENTS, 2 * CENTS,
         first[1], first[1], True, 1100),
        (first[0], "replay", moved_at, 2, 1, 3, 2 * CENTS, CENTS, 3 * CENTS,
         first[1], first[1], True, 1100),
    ]  # fmt: skip


def test_the_day_says_that_it_was_changed_after_it_was_final(late: PipelineHome) -> None:
    assert late.rows("SELECT day, state, changes_after_final, cost_usd FROM overview") == [
        (DAY, "final", 2, 3 * CENTS)
    ]
    assert late.rows("SELECT hour_at, state, cost_usd FROM overview_hourly") == [
        (NOON - hours(1), "final", 3 * CENTS)
    ]


def test_replays_say_nothing_of_the_landing(late: PipelineHome) -> None:
    """The last look is the backfill's, which also took what was new; there was nothing."""
    first, second = late.rows("SELECT batch_id FROM ingest_batches ORDER BY taken_at")
    looks = late.rows(LOOKS)
    assert looks == [(first[0], 0, 1), (second[0], 0, 1), (None, 0, 1)]
    taken = "SELECT w.looked_at = b.taken_at AND w.complete_through = b.taken_at FROM watermarks w"
    assert late.rows(f"{taken} JOIN ingest_batches b USING (batch_id)") == [(True,), (True,)]


def test_status_looks_at_the_landing_and_writes_nothing(late: PipelineHome) -> None:
    before = late.resource.lake.newest_snapshot()
    waiting = late.land("c.csv", b"x", landed_at=NOON + hours(30))
    code, out, err = call_opsmeter("status", "--json", home=late.folder)
    waiting.unlink()
    assert code == 0, err
    told = json.loads(out)
    assert told["complete_through"] == (NOON + hours(30)).isoformat()
    assert told["final_before"] == (NOON + hours(6)).isoformat()
    assert (told["waiting_files"], told["refused_files"]) == (1, 1)
    assert [(one["file"], one["finding"]) for one in told["refused"]] == [
        ("notes.txt", "unsupported")
    ]
    assert late.resource.lake.newest_snapshot() == before
    assert call_opsmeter("status", home=late.folder.parent)[0] == 2


def test_an_hour_turns_final_without_a_batch_and_is_written_down_once(late: PipelineHome) -> None:
    home, lake = late, late.resource.lake
    count = len(home.rows(LOOKS))
    context = dg.build_sensor_context(instance=home.instance, resources={"home": home.resource})
    assert isinstance(landing_sensor(context), dg.SkipReason)
    known = read_watermark(lake)
    assert known is not None
    later = replace(known, complete_through=known.complete_through + timedelta(hours=1))
    assert [note_look(lake, one) for one in (known, later, later)] == [False, True, False]
    # The sensor writes a row only if an hour has ended since the last look.
    assert len(home.rows(LOOKS)) - count in {1, 2}
    assert read_watermark(lake) == later


def test_what_a_run_leaves_holds_the_watermark(home: PipelineHome) -> None:
    lake, settings = home.resource.lake, home.settings.model_copy(update={"batch_bytes": 400})
    home.land("old.jsonl", jsonl(payload("a")))
    home.land("big.jsonl", jsonl(*(payload(f"r{n}") for n in range(9))), landed_at=NOON + hours(24))
    home.land("next.csv", b"x", landed_at=NOON + hours(25))
    now = utc_now()

    def plan(day: datetime) -> tuple[datetime, int]:
        landing = home.resource.landing_files()
        plan = plan_run(
            landing, lake, settings=settings, now=now, day=day.date(), replay=False, batch_id="b"
        )
        assert plan.watermark is not None
        return plan.watermark.complete_through, plan.watermark.waiting_files

    assert plan(NOON) == (NOON + hours(24), 2)
    # Nobody knows since when lines of a large file wait that no look has seen before.
    assert plan(NOON + hours(24)) == (datetime(2020, 1, 1, tzinfo=UTC), 2)
    result = home.run(DAY)
    assert result.success, failure_of(result)
    stored = read_watermark(lake)
    assert stored is not None
    assert stored.complete_through == NOON + hours(24)
    assert plan(NOON + hours(24)) == (NOON + hours(24), 1)
    live = survey_landing(home.resource.landing_files(), lake, settings=settings, now=now)
    assert live.watermark(lake, settings).complete_through == NOON + hours(24)


def test_a_refused_file_does_not_hold_the_watermark_and_is_counted(home: PipelineHome) -> None:
    def look() -> Watermark:
        landing, lake, now = home.resource.landing_files(), home.resource.lake, utc_now()
        survey = survey_landing(landing, lake, settings=home.settings, now=now)
        return survey.watermark(lake, home.settings)

    home.land("a.csv", b"externalRequestId\nr1\n")
    home.take_all()
    home.land("a.csv", b"externalRequestId\nr2\n", landed_at=NOON + hours(1))
    waiting = look()  # it is not known yet whether its content changed
    assert (waiting.complete_through, waiting.waiting_files) == (NOON + hours(1), 1)
    home.take_all()
    assert home.findings() == {"a.csv": "changed"}
    refused = look()
    assert refused.complete_through == refused.looked_at
    assert (refused.waiting_files, refused.refused_files) == (0, 1)


def test_a_file_that_cannot_be_opened_waits_until_it_can(
    home: PipelineHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.land("open.jsonl", jsonl(payload("o")), landed_at=None)
    home.take_all()
    landed_at = utc_now() - hours(2)
    home.land("closed.jsonl", jsonl(*(payload(f"c{n}") for n in range(50))), landed_at=landed_at)
    ends = Landing.whole_lines_end

    def refuse(landing: Landing, candidate: Candidate, **limits: Any) -> int:
        if candidate.landed.file == "closed.jsonl":
            raise PermissionError(13, "Permission denied")
        return ends(landing, candidate, **limits)

    with monkeypatch.context() as patch:
        patch.setattr(Landing, "whole_lines_end", refuse)
        for _ in range(2):  # also once it is known
            survey = survey_landing(
                home.resource.landing_files(), home.resource.lake, settings=home.settings,
                now=utc_now(),
            )  # fmt: skip
            look = survey.watermark(home.resource.lake, home.settings)
            assert (look.waiting_files, look.refused_files) == (1, 1)
            assert abs(look.complete_through - landed_at) < timedelta(milliseconds=1)
            freshness = judge_freshness(home.resource.lake, survey, settings=home.settings)
            assert sum(one.waiting_late_lines for one in freshness.slos) > 0
            home.take_all()
    assert home.findings() == {"closed.jsonl": "unreadable"}
    assert home.take_all() == 1
    assert home.value("SELECT count(*) FROM events") == 51
    read = read_watermark(home.resource.lake)
    assert read is not None
    assert (read.complete_through, read.waiting_files, read.refused_files) == (read.looked_at, 0, 0)


def test_a_look_that_knew_less_does_not_hold_the_watermark_back(home: PipelineHome) -> None:
    """As where new files never stop: each look finds some, and a batch is always under way."""
    home.land("a.jsonl", jsonl(payload("a")))
    home.take_all()
    published = read_watermark(home.resource.lake)
    assert published is not None
    later = published.looked_at + timedelta(seconds=5)
    stuck = replace(published, looked_at=later, complete_through=NOON, waiting_files=1)
    grown = jsonl(payload("a"), payload("b"))
    home.land("a.jsonl", grown, landed_at=later + timedelta(seconds=1))
    survey = survey_landing(
        home.resource.landing_files(),
        home.resource.lake,
        settings=home.settings,
        now=later + timedelta(seconds=2),
    )
    seen = survey.watermark(home.resource.lake, home.settings, newer=stuck)
    assert (seen.complete_through, seen.waiting_files) == (published.complete_through, 1)


def test_a_day_is_logged_when_only_what_its_unpriced_part_may_cost_moves(
    home: PipelineHome,
) -> None:
    home.land("a.jsonl", jsonl(payload("a", provider="acme", model="nobody-knows")))
    home.take_all()
    (batch_id,) = home.rows("SELECT batch_id FROM ingest_batches")[0]
    lake = home.resource.lake

    def reprice(con: duckdb.DuckDBPyConnection) -> None:
        before = sum_days(con, [batch_id])
        con.execute("UPDATE attribution_hourly SET unpriced_high_usd = unpriced_high_usd + 1")
        after = sum_days(con, [batch_id])
        again = {"kinds": {batch_id: "reprice"}, "run_id": "r", "now": utc_now()}
        assert record_changes(con, before, after, **again) == 1
        assert record_changes(con, after, after, **again) == 0

    lake.transact(reprice)
    assert home.rows("SELECT day, kind, change_cost_usd FROM day_changes ORDER BY number")[1:] == [
        (DAY, "reprice", Decimal(0))
    ]
