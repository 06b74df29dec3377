"""`opsmeter up`: the UI answers, the sensor takes what lands, a backfill replays, and it stops."""

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from subprocess import Popen
from typing import IO

import dagster as dg
import pytest

from opsmeter_pipeline.cli.up import up_command
from opsmeter_pipeline.model.clock import utc_now
from opsmeter_pipeline.model.errors import PortError
from opsmeter_pipeline.orchestration.alerting import EVALUATORS, Moment
from opsmeter_pipeline.orchestration.instance import open_instance
from tests.pipeline.search import contents, spellings
from tests.pipeline.support import (
    DAY,
    PipelineHome,
    assert_balanced,
    jsonl,
    opsmeter,
    payload,
    processes_of,
    run_opsmeter,
    without_clocks,
)

RAW = "anna.larsson@example.com"
_BACKFILL = """
mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""


@dataclass
class Running:
    process: Popen[str]
    home: PipelineHome
    port: int
    page_port: int

    def see(self, path: str) -> dict:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.page_port}{path}", timeout=10) as page:
            return json.load(page)

    def ask(self, query: str, **variables: object) -> dict:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["data"]


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, instance: dg.DagsterInstance) -> Iterator[Running]:
    home = PipelineHome(tmp_path_factory.mktemp("home"), instance)
    port, page_port = _free_ports()
    index = home.settings.data_docs / "index.html"
    index.parent.mkdir(parents=True)
    index.touch()
    ports = ("--port", str(port), "--dashboard-port", str(page_port))
    # Probes would add runs and batches of their own to those that are counted here.
    process = opsmeter("up", *ports, home=home.folder, OPSMETER_PROBE="false")
    running = Running(process, home, port, page_port)
    try:
        _wait_for(lambda: _version(running), seconds=60)
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def test_the_ui_answers_and_knows_the_project(up: Running) -> None:
    told = up.ask(
        "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"
    )
    assert told["workspaceOrError"]["locationEntries"] == [
        {"name": "opsmeter_pipeline", "loadStatus": "LOADED"}
    ]


def test_a_file_that_lands_is_taken_within_a_minute(up: Running) -> None:
    raw = payload("r", userId=RAW)
    up.home.land("a.jsonl", jsonl(payload("a"), payload("b"), payload("a"), "{}", raw))
    _wait_for(lambda: _statuses(up) == ["SUCCESS"], seconds=60)
    assert up.home.ledger("a.jsonl") == (5, 2, 1, 2, 0)
    assert up.home.value("SELECT count(visible_at) FROM ingest_batches") == 1
    assert_balanced(up.home)


def test_the_page_beside_it_shows_what_was_taken(up: Running) -> None:
    told = up.see("/api/v1/overview?range=all")
    assert told["totals"]["attempts"] == 2
    assert told["freshness"]["state"] == "fresh"
    _wait_for(lambda: up.home.value("SELECT count(*) FROM first_served") == 1, seconds=20)


def test_a_page_that_ends_is_started_again(up: Running) -> None:
    (page,) = [
        pid for pid, command in processes_of(up.home.folder) if "main() dashboard" in command
    ]
    os.kill(page, signal.SIGKILL)
    _wait_for(lambda: _is_alive(up), seconds=30)
    assert page not in dict(processes_of(up.home.folder))


def test_a_backfill_from_the_ui_replays_the_day_and_changes_nothing(up: Running) -> None:
    _wait_for(lambda: _statuses(up) == ["SUCCESS"], seconds=60)
    before = _of_the_ingest(up.home)
    selector = {
        "repositorySelector": {
            "repositoryLocationName": "opsmeter_pipeline",
            "repositoryName": "__repository__",
        },
        "partitionSetName": "ingest_partition_set",
    }
    launched = up.ask(
        _BACKFILL, params={"selector": selector, "partitionNames": [DAY.isoformat()]}
    )["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    _wait_for(lambda: _statuses(up) == ["SUCCESS", "SUCCESS"], seconds=120)
    assert up.home.value("SELECT count(replayed_at) FROM ingest_batches") == 1
    assert _of_the_ingest(up.home) == before


def _of_the_ingest(home: PipelineHome) -> dict[str, list[tuple[str, ...]]]:
    """Return the tables but for those that alerts and the other jobs may write meanwhile."""
    ticked = (
        *("incidents", "incident_events", "alerts", "probes", "budget_status", "budget_changes"),
        *("prompt_version_drift", "prompt_version_findings", "spikes", "double_instrumentation"),
        "verdict_changes",
    )
    return {name: rows for name, rows in without_clocks(home).items() if name not in ticked}


def test_a_replay_beside_it_and_a_file_landing_meanwhile_both_come_right(up: Running) -> None:
    _wait_for(lambda: set(_statuses(up)) == {"SUCCESS"}, seconds=60)
    runs = len(_statuses(up))
    up.home.land("b.jsonl", jsonl(payload("a"), payload("c")))
    code, out, err = run_opsmeter("replay", "--all", "--json", home=up.home.folder)
    assert code == 0, err
    assert json.loads(out)["moved"] == 0
    _wait_for(lambda: _statuses(up).count("SUCCESS") >= runs + 2, seconds=60)
    assert up.home.ledger("a.jsonl") == (5, 2, 1, 2, 0)
    assert up.home.ledger("b.jsonl") == (2, 1, 1, 0, 0)
    assert_balanced(up.home)


def test_a_port_that_is_taken_is_wrong_usage_and_its_holder_is_named(
    up: Running, tmp_path: Path
) -> None:
    code, out, err = run_opsmeter("up", "--port", str(up.port), home=tmp_path / "home")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: Port {up.port} on 127.0.0.1 is taken by process ")
    assert "dagster_webserver" in err
    assert "--port" in err
    assert not (tmp_path / "home").exists()


def test_one_port_for_two_servers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PortError, match=r"asked for twice.*--dashboard-port"):
        up_command(home=tmp_path / "home", landing=None, ports={"port": 9, "dashboard_port": 9})
    assert not (tmp_path / "home").exists()


def test_a_second_one_on_the_same_home_is_refused_and_the_first_named(up: Running) -> None:
    port, page_port = _free_ports()
    code, out, err = run_opsmeter(
        "up", "--port", str(port), "--dashboard-port", str(page_port), home=up.home.folder
    )
    assert (code, out) == (2, "")
    assert f"already, as process {up.process.pid}." in err


def test_sigterm_stops_everything_and_the_terminal_stayed_quiet(up: Running) -> None:
    """Runs last: the others need the processes. They have made two runs, which print nothing."""
    assert _read_what_is_there(up.process.stdout) == b""
    up.process.send_signal(signal.SIGTERM)
    out, err = up.process.communicate(timeout=60)
    assert up.process.returncode == 0
    # Dagster says so if a tick was under way: its code server is gone before the daemon is.
    assert out == "" or "Sensor tick caught an error" in out
    assert err.splitlines() == [
        f"page        http://127.0.0.1:{up.page_port}",
        f"Dagster UI  http://127.0.0.1:{up.port}  (answers in some seconds)",
        f"landing     {up.home.landing}",
        f"home        {up.home.folder}",
        f"data docs   {up.home.settings.data_docs.as_uri()}/index.html",
        "Ctrl+C stops it.",
        "The page ended with exit code -9 and is started again.",
    ]
    for port in (up.port, up.page_port):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    with open_instance(up.home.settings) as instance:
        assert instance.get_daemon_heartbeats() == {}
        later = Moment(up.home.resource, instance, utc_now() + timedelta(hours=1), by="check")
        assert EVALUATORS["not_ticking"](later) == []
    assert processes_of(up.home.folder) == []


def test_no_raw_identifier_is_in_any_byte_that_it_kept(up: Running) -> None:
    """Runs after the stop: logs of the daemon, of its runs and of the UI are all written."""
    assert up.process.poll() == 0
    assert up.home.rows("SELECT rule FROM quarantine ORDER BY 1") == [
        ("missing_field",), ("raw_identifier",)
    ]  # fmt: skip
    places = [place for place, _ in contents(up.home.folder)]
    assert any("dagster" in place and place.endswith("bytes") for place in places)
    wanted = spellings(RAW)
    assert [p for p, held in contents(up.home.folder) if any(one in held for one in wanted)] == []


def _read_what_is_there(pipe: IO[str]) -> bytes:
    """Return what was written to a pipe so far, without waiting for more."""
    os.set_blocking(pipe.fileno(), False)
    try:
        return os.read(pipe.fileno(), 1 << 16)
    except BlockingIOError:
        return b""
    finally:
        os.set_blocking(pipe.fileno(), True)


def _version(running: Running) -> bool:
    assert running.process.poll() is None, running.process.communicate()[1]
    try:
        return bool(running.ask("{ version }"))
    except OSError:
        return False


def _statuses(running: Running) -> list[str]:
    """Return the states of the ingest runs; the schedule of `quality` may add others."""
    told = running.ask(
        '{ runsOrError(filter: {pipelineName: "ingest"}) { ... on Runs { results { status } } } }'
    )
    return [run["status"] for run in told["runsOrError"]["results"]]


def _wait_for(is_so: Callable[[], object], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.25)


def _is_alive(running: Running) -> bool:
    try:
        return running.see("/readyz")["ready"]
    except OSError:
        return False
