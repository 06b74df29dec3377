"""Ticks of the landing sensor: when it asks for a run, for which day, and why not."""

import os
from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest

from opsmeter_pipeline.definitions import defs
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.orchestration.instance import find_worker, write_instance_files
from opsmeter_pipeline.orchestration.jobs import INGEST_JOB_NAME
from opsmeter_pipeline.orchestration.sensors import BACKLOG_TAG, landing_sensor
from tests.pipeline.support import NOON, PipelineHome, hours, jsonl, payload

ONE = jsonl(payload("a"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PipelineHome]:
    """A home whose runs are kept on disk, where the sensor looks for them."""
    home = PipelineHome(tmp_path_factory.mktemp("home"), dg.DagsterInstance.ephemeral())
    write_instance_files(home.settings)
    with dg.DagsterInstance.from_config(str(home.settings.dagster)) as instance:
        home.instance = instance
        yield home


@pytest.fixture
def home(kept: PipelineHome) -> PipelineHome:
    """That home with an empty landing and no runs; what it took before stays taken."""
    for path in kept.landing.iterdir():
        path.unlink()
    for run in kept.instance.get_runs():
        kept.instance.delete_run(run.run_id)
    return kept


def _tick(home: PipelineHome) -> list[dg.RunRequest] | str:
    """Return the run requests of one tick, or why it skipped."""
    context = dg.build_sensor_context(instance=home.instance, resources={"home": home.resource})
    found = landing_sensor(context)
    return found.skip_message if isinstance(found, dg.SkipReason) else list(found.run_requests)


def _record_run(home: PipelineHome, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    return home.instance.create_run_for_job(
        defs.resolve_job_def(INGEST_JOB_NAME),
        status=status,
        tags={"dagster/partition": "2025-03-10"},
    )


def test_an_empty_landing_is_skipped(home: PipelineHome) -> None:
    assert _tick(home) == f"Nothing new in {home.landing}."


def test_a_new_file_asks_for_one_run_of_its_ingest_day(home: PipelineHome) -> None:
    home.land("a.jsonl", ONE)
    home.land("b.jsonl", ONE)
    (request,) = _tick(home)
    assert request.partition_key == "2025-03-10"
    assert request.run_config["ops"] == {"landed_slices": {"config": {"take": "NEW"}}}


def test_the_run_it_asks_for_takes_the_file_and_leaves_nothing_to_ask_for(
    home: PipelineHome,
) -> None:
    home.land("taken.jsonl", ONE)
    (request,) = _tick(home)
    day = date.fromisoformat(request.partition_key)
    assert home.run(day, config=request.run_config).success
    assert home.ledger("taken.jsonl") == (1, 1, 0, 0, 0)
    assert _tick(home) == f"Nothing new in {home.landing}."


def test_days_take_turns_after_what_was_taken_last(home: PipelineHome) -> None:
    """The batch before was of the 10th, so a newer day goes next; with an older one, that."""
    home.land("before.jsonl", ONE, landed_at=NOON)
    assert home.take_all() == 1
    home.land("x_earlier.jsonl", ONE, landed_at=NOON - hours(24))
    home.land("y_later.jsonl", ONE, landed_at=NOON)
    (request,) = _tick(home)
    assert request.partition_key == "2025-03-09"
    home.land("z_newest.jsonl", ONE, landed_at=NOON + hours(24))
    (request,) = _tick(home)
    assert request.partition_key == "2025-03-11"


def test_a_tick_says_how_much_waits_and_ticks_during_the_run_repeat_it(home: PipelineHome) -> None:
    home.land("waits-1.jsonl", ONE)
    home.land("waits-2.jsonl", ONE)
    context = dg.build_sensor_context(instance=home.instance, resources={"home": home.resource})
    found = landing_sensor(context)
    assert isinstance(found, dg.SensorResult)
    waits = f"2 files, {2 * len(ONE)} B wait; "
    assert found.cursor is not None
    assert found.cursor.startswith(waits)
    assert found.run_requests is not None
    assert found.run_requests[0].tags[BACKLOG_TAG] == found.cursor
    run = _record_run(home, dg.DagsterRunStatus.STARTED)
    during = dg.build_sensor_context(
        instance=home.instance, resources={"home": home.resource}, cursor=found.cursor
    )
    skipped = landing_sensor(during)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == (
        f"Run {run.run_id} is under way; one batch at a time. Before it: {found.cursor}."
    )


@pytest.mark.parametrize(
    ("landed_at", "day"),
    [
        (NOON.replace(hour=23, minute=59, second=59), "2025-03-10"),
        (NOON.replace(day=11, hour=0), "2025-03-11"),
        (NOON.replace(year=2019), "2020-01-01"),  # before the first partition
    ],
)
def test_the_day_is_the_utc_day_of_landing(home: PipelineHome, landed_at, day: str) -> None:
    home.land("a.jsonl", ONE, landed_at=landed_at)
    (request,) = _tick(home)
    assert request.partition_key == day


def test_a_file_from_the_future_landed_today(home: PipelineHome) -> None:
    days = {utc_now().date().isoformat()}
    home.land("a.jsonl", ONE, landed_at=utc_now() + hours(240))
    (request,) = _tick(home)
    assert request.partition_key in days | {utc_now().date().isoformat()}


@pytest.mark.parametrize(
    "status",
    [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ],
)
def test_nothing_is_asked_for_while_a_run_is_under_way(
    home: PipelineHome, status: dg.DagsterRunStatus
) -> None:
    home.land("a.jsonl", ONE)
    run = _record_run(home, status)
    assert _tick(home) == f"Run {run.run_id} is under way; one batch at a time."


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED])
def test_a_run_that_is_over_holds_nothing_up(
    home: PipelineHome, status: dg.DagsterRunStatus
) -> None:
    home.land("a.jsonl", ONE)
    _record_run(home, status)
    assert len(_tick(home)) == 1


def test_after_a_failed_run_the_landing_rests_for_a_minute(home: PipelineHome) -> None:
    home.land("a.jsonl", ONE)
    run = _record_run(home, dg.DagsterRunStatus.STARTED)
    home.instance.report_run_failed(run)
    skipped = _tick(home)
    assert skipped in {f"The last run failed; trying again in {n} s." for n in range(50, 61)}


def test_how_long_it_rests_is_a_setting(home: PipelineHome, monkeypatch) -> None:
    monkeypatch.setenv("OPSMETER_RETRY_SECONDS", "7")
    home.land("a.jsonl", ONE)
    run = _record_run(home, dg.DagsterRunStatus.STARTED)
    home.instance.report_run_failed(run)
    assert _tick(home) in {f"The last run failed; trying again in {n} s." for n in range(8)}


def test_a_run_is_tagged_with_its_process_and_one_whose_process_is_gone_holds_nothing_up(
    home: PipelineHome,
) -> None:
    """Killed together with the code server that watched it, it would be under way for ever."""
    home.land("tagged.jsonl", ONE)
    (request,) = _tick(home)
    done = home.run(date.fromisoformat(request.partition_key), config=request.run_config)
    run = home.instance.get_run_by_id(done.run_id)
    assert find_worker(run) == os.getpid()
    host, pid, started = run.tags["opsmeter/process"].split(":")
    home.land("next.jsonl", ONE)
    gone = 2**22 + 1  # above what Linux gives
    for owner, is_dead in (
        (f"{host}:{pid}:{started}", False),
        (f"elsewhere:{gone}:1", False),  # nobody here can tell
        (f"{host}:{gone}:1", True),
        (f"{host}:{pid}:1", True),  # after a restart, another process has the same id
    ):
        run = _record_run(home, dg.DagsterRunStatus.STARTED)
        home.instance.add_run_tags(run.run_id, {"opsmeter/process": owner})
        assert isinstance(_tick(home), list) is is_dead, owner
        status = home.instance.get_run_by_id(run.run_id).status
        assert (status == dg.DagsterRunStatus.FAILURE) is is_dead, owner
        home.instance.delete_run(run.run_id)


def test_an_unfinished_last_line_asks_for_no_run(home: PipelineHome) -> None:
    home.land("growing.jsonl", ONE, landed_at=None)
    assert home.take_all() == 1
    home.land("growing.jsonl", ONE + ONE[:30], landed_at=None)
    assert _tick(home) == f"Nothing new in {home.landing}."
    home.land("growing.jsonl", ONE + ONE, landed_at=None)
    assert len(_tick(home)) == 1


def test_an_unsupported_file_asks_for_a_run_that_tells_of_it(home: PipelineHome) -> None:
    home.land("notes.txt", b"buy milk")
    (request,) = _tick(home)
    assert request.partition_key == utc_now().date().isoformat()
