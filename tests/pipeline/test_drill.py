"""Drills with the real daemon and a real webhook: `make test` runs one, `make drill` all of them.

The drill of the worker is the integration test of the alerts: traffic flows, a worker is killed,
the alert arrives once, recovery is announced, and the timeline of the incident says so.
"""

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from tests.pipeline.support import PipelineHome, assert_balanced, processes_of, run_opsmeter

is_slow = pytest.mark.skipif(
    os.environ.get("DRILLS") != "all", reason="takes minutes; `make drill` runs it"
)


def _drill(*arguments: str, scratch: Path) -> tuple[int, dict]:
    code, out, err = run_opsmeter(
        "drill", *arguments, "--json", home=scratch / "untouched", seconds=900, TMPDIR=str(scratch)
    )
    assert out, err
    assert not (scratch / "untouched").exists()
    return code, json.loads(out)


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path is short enough for the sockets that Dagster puts below it."""
    return tmp_path_factory.mktemp("d")


def test_a_killed_worker_is_told_once_and_its_timeline_says_what_happened(scratch: Path) -> None:
    code, told = _drill("worker", "--keep", "--timeout", "600", scratch=scratch)
    (drill,) = told["drills"]
    assert (code, told["passed"], drill["problems"]) == (0, True, [])
    (seen,) = [one for one in drill["sightings"] if one["kind"] == "alert"]
    assert (seen["name"], seen["after_seconds"] > 0) == ("run_failed", True)
    assert [(one["opened"], one["resolved"]) for one in drill["told"]] == [(1, 1)]
    counts = drill["counts"]
    assert (counts["lost"], counts["doubled"]) == (0, 0)
    assert counts["written"] == counts["accepted"] > 0

    folder = Path(drill["home"])
    assert processes_of(folder / ".opsmeter") == []
    incident_id = drill["incidents"][0]["incident_id"]
    code, out, err = run_opsmeter(
        "incident", "show", incident_id, "--json", home=folder / ".opsmeter"
    )
    assert code == 0, err
    incident = json.loads(out)
    assert (incident["rule"], incident["state"]) == ("run_failed", "resolved")
    assert [one["kind"] for one in incident["timeline"]] == [
        *("first_bad", "detected", "alert_decided", "alert_sent"),
        *("recovered", "resolved", "alert_decided", "alert_sent"),
    ]
    times = [datetime.fromisoformat(one["happened_at"]) for one in incident["timeline"]]
    assert times == sorted(times)
    assert times[0] >= datetime.fromisoformat(drill["injected_at"])
    assert_balanced(PipelineHome(folder / ".opsmeter", instance=None))


@is_slow
def test_what_is_not_detected_in_time_fails_and_leaves_nothing(scratch: Path) -> None:
    code, told = _drill("clock", "--timeout", "1", scratch=scratch)
    (drill,) = told["drills"]
    assert (code, told["passed"], drill["detected"], drill["counts"]) == (1, False, False, None)
    assert "Not detected within 1 s by alert:clock_skew." in drill["problems"]
    assert [*scratch.iterdir()] == []


def test_drills_are_listed_and_an_unknown_one_is_wrong_usage(tmp_path: Path) -> None:
    code, out, err = run_opsmeter("drill", "--list", "--json", home=tmp_path)
    assert code == 0, err
    assert [one["drill"] for one in json.loads(out)["drills"]] == [
        *("worker", "daemon", "burst", "schema", "clock")
    ]
    for arguments in ([], ["wrker"]):
        code, out, err = run_opsmeter("drill", *arguments, home=tmp_path)
        assert (code, out) == (2, "")
        assert "worker, daemon, burst, schema, clock and `all`" in err
