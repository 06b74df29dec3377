"""A burst through the real job: bounded batches, other producers at once, each line once."""

import json
from datetime import date, timedelta

import dagster as dg
import pytest

from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.orchestration.sensors import landing_sensor
from opsmeter_pipeline.storage.plan import plan_run
from tests.pipeline.conftest import MakeHome
from tests.pipeline.support import (
    NOON,
    PipelineHome,
    assert_balanced,
    failure_of,
    jsonl,
    payload,
    run_opsmeter,
)

FLOOD_FILES, FLOOD_LINES = 50, 4
ONE = len(jsonl(payload("flood-00-0")))
LIMIT = 110 * ONE


@pytest.fixture(scope="module")
def burst(make_home: MakeHome) -> PipelineHome:
    """A flood of 50 files, a long log that grew before it and two calm producers after it."""
    home = make_home()
    for n in range(FLOOD_FILES):
        lines = jsonl(*(payload(f"flood-{n:02d}-{line}") for line in range(FLOOD_LINES)))
        home.land(f"flood-{n:02d}.jsonl", lines, landed_at=NOON + timedelta(seconds=n))
    log = jsonl(*(payload(f"log-{n:03d}") for n in range(100)))
    home.land("log.jsonl", log, landed_at=NOON)
    for name in ("calm", "still"):
        home.land(f"{name}.jsonl", jsonl(payload(name)), landed_at=NOON + timedelta(seconds=90))
    home.said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSMETER_BATCH_BYTES", str(LIMIT))
        while isinstance(found := _tick(home), dg.SensorResult):
            assert found.run_requests is not None
            home.said.append(found.cursor)
            if len(home.said) == 2:
                home.status = run_opsmeter(
                    "status", "--json", home=home.folder, OPSMETER_BATCH_BYTES=str(LIMIT)
                )
            result = home.run(date.fromisoformat(found.run_requests[0].partition_key))
            assert result.success, failure_of(result)
    return home


def _tick(home: PipelineHome) -> dg.SensorResult | dg.SkipReason:
    return landing_sensor(
        dg.build_sensor_context(instance=home.instance, resources={"home": home.resource})
    )


def test_each_batch_keeps_to_its_limit_and_the_burst_takes_several(burst: PipelineHome) -> None:
    sizes = [
        size
        for (size,) in burst.rows(
            "SELECT sum(byte_end - byte_start)::BIGINT FROM ingest_files GROUP BY batch_id"
        )
    ]
    assert len(sizes) == 3  # 302 lines by 110
    assert max(sizes) <= LIMIT


def test_the_first_batch_holds_all_of_who_did_not_flood(burst: PipelineHome) -> None:
    first = """
        SELECT file, f.lines FROM ingest_files f JOIN ingest_batches USING (batch_id)
        WHERE taken_at = (SELECT min(taken_at) FROM ingest_batches) ORDER BY file
    """
    taken = dict(burst.rows(first))
    assert taken.pop("calm.jsonl") == taken.pop("still.jsonl") == 1
    # 108 lines are left, 54 for each of the two; log lines are a little shorter.
    assert taken.pop("log.jsonl") in {54, 55}
    assert taken == {f"flood-{n:02d}.jsonl": FLOOD_LINES for n in range(13)}


def test_no_source_is_taken_out_of_order(burst: PipelineHome) -> None:
    files = burst.rows("""
        SELECT file, byte_start FROM ingest_files JOIN ingest_batches USING (batch_id)
        ORDER BY taken_at, file, byte_start
    """)
    for name in ("flood", "log"):
        mine = [one for one in files if one[0].startswith(name)]
        assert mine == sorted(mine)
    assert len([one for one in files if one[0] == "log.jsonl"]) > 1


def test_every_line_is_one_event(burst: PipelineHome) -> None:
    assert_balanced(burst)
    assert burst.value("SELECT sum(lines)::BIGINT FROM ingest_files") == 302
    ids = "count(DISTINCT external_request_id), count(DISTINCT (file, line_number))"
    assert burst.rows(f"SELECT count(*), {ids} FROM events") == [(302, 302, 302)]


def test_the_tick_says_what_waits_and_for_how_long(burst: PipelineHome) -> None:
    first, *later = burst.said
    assert first.startswith("53 files, ")
    assert first.endswith("wait; no estimate: no batch was taken in the last 60 min")
    assert [int(said.split()[0]) for said in later] == sorted(
        (int(said.split()[0]) for said in later), reverse=True
    )
    # A batch of this process was taken and measured; the ones after it go by its speed.
    assert all("wait; about " in said and "/s taken, 0 B/s landing" in said for said in later)


def test_status_tells_the_same_and_how_it_was_worked_out(burst: PipelineHome) -> None:
    code, out, err = burst.status
    assert code == 0, err
    told = json.loads(out)["backlog"]
    assert (told["state"], told["waiting_files"]) == ("catching_up", 38)
    files = {path.name: path.stat().st_size for path in burst.landing.iterdir()}
    taken = burst.value("""
        SELECT sum(byte_end - byte_start)::BIGINT FROM ingest_files JOIN ingest_batches
        USING (batch_id) WHERE taken_at = (SELECT min(taken_at) FROM ingest_batches)
    """)
    assert told["waiting_bytes"] == sum(files.values()) - taken
    ((taken_at, visible_at),) = burst.rows(
        "SELECT taken_at, visible_at FROM ingest_batches ORDER BY taken_at LIMIT 1"
    )
    turn = (visible_at - taken_at).total_seconds() + 10  # with a pause where none tells
    assert told["taken_bytes_per_second"] == pytest.approx(taken / turn)
    assert told["caught_up_at"] > told["looked_at"]


def test_a_log_that_is_cut_ends_after_a_line(home: PipelineHome) -> None:
    """Each of two logs gets half of the batch, which ends within its third line."""
    log = jsonl(*(payload(f"r{n}") for n in range(9)))
    line = len(log) // 9
    home.land("a.jsonl", log)
    home.land("b.jsonl", log)
    settings = home.settings.model_copy(update={"batch_bytes": 2 * (2 * line + 10)})
    home.resource.lake.create({})
    plan = plan_run(
        home.resource.landing_files(), home.resource.lake, settings=settings, now=utc_now(),
        day=NOON.date(), replay=False, batch_id="b",
    )  # fmt: skip
    assert [(one.file, one.byte_end) for one in plan.slices] == [
        ("a.jsonl", 2 * line),
        ("b.jsonl", 2 * line),
    ]
    assert plan.watermark is not None
    assert plan.watermark.waiting_files == 2
