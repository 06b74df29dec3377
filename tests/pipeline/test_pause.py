"""Containing and recovering: which views stop, what goes on, and that the timeline says so."""

import json
from datetime import UTC, datetime

import pytest

from opsmeter_pipeline.storage.incidents import read_current, read_timeline
from opsmeter_pipeline.storage.pause import end_pause, read_pause, write_pause
from tests.pipeline.alerting import at, late, record
from tests.pipeline.conftest import MakeHome
from tests.pipeline.serving import serving
from tests.pipeline.support import PipelineHome, jsonl, payload, run_opsmeter


@pytest.fixture(scope="module")
def shown(make_home: MakeHome) -> PipelineHome:
    """A home of one event and a probe, with an incident open."""
    home = make_home()
    probe = payload("p", endpointTag="opsmeter.synthetic_probe", dataMode="test")
    home.land("a.jsonl", jsonl(payload("a"), probe))
    home.take_all()
    record(home.resource.lake, [], 0, late())
    return home


def test_a_pause_stops_the_views_that_can_wait_and_nothing_else(shown: PipelineHome) -> None:
    reason = "<b>mixed up</b> prices"
    with serving(shown.settings) as client:
        code, out, err = run_opsmeter("pause", "--reason", reason, "--by", "ann", "--json",
                                      home=shown.folder)  # fmt: skip
        assert code == 0, err
        (incident,) = read_current(shown.resource.lake)
        assert json.loads(out)["incidents"] == [incident.incident_id]
        page = client.get("/?range=all")
        assert page.status == 200
        assert "&lt;b&gt;mixed up&lt;/b&gt; prices" in page.text
        assert ('id="overview"' in page.text, 'id="top_users"' in page.text) == (True, False)
        for path in ("top-endpoints", "top-users", "prompt-versions", "endpoints/chat.reply"):
            refused = client.get(f"/api/v1/{path}?range=all")
            assert (refused.status, "retry-after" in refused.headers) == (503, True), path
            assert refused.json["error"].startswith("Paused since 20")
            assert f"by ann: {reason}." in refused.json["error"]
        probe = "/api/v1/endpoints/opsmeter.synthetic_probe?data_mode=test&range=all"
        assert client.get(probe).json["rows"][0]["attempts"] == 1
        for path in ("/api/v1/overview", "/api/v1/freshness", "/healthz", "/metrics", "/readyz"):
            assert client.get(path).status == 200, path
        told = client.get("/diagnostics").json
        assert (told["paused"]["reason"], told["last_error"]) == (reason, None)

        code, out, _ = run_opsmeter("resume", "--by", "bob", home=shown.folder)
        assert (code, "All views can be read again." in out) == (0, True)
        assert 'id="top_users"' in client.get("/?range=all").text
        assert client.get("/api/v1/top-users?range=all").status == 200
        assert client.get("/diagnostics").json["paused"] is None
    actions = [one.detail for one in read_timeline(shown.resource.lake, incident.incident_id)
               if one.kind == "action"]  # fmt: skip
    assert actions == [f"ann paused the views that can wait: {reason}", "bob resumed all views"]


def test_a_pause_needs_a_reason_and_a_home_but_no_warehouse(shown: PipelineHome, tmp_path) -> None:
    code, _, err = run_opsmeter("pause", "--reason", " ", home=shown.folder)
    assert (code, "say why" in err) == (2, True)
    code, _, err = run_opsmeter("pause", "--reason", "x", home=tmp_path / "none")
    assert (code, "No such file" in err) == (2, True)
    assert not (tmp_path / "none").exists()
    code, _, err = run_opsmeter("pause", "--reason", "x", home=tmp_path)
    assert (code, err) == (0, "")
    assert [one.name for one in tmp_path.iterdir()] == ["paused.json"]


def test_a_second_pause_keeps_since_when_and_half_a_file_is_a_pause(tmp_path) -> None:
    path = tmp_path / "paused.json"
    assert read_pause(path) is end_pause(path) is None
    first = datetime(2026, 11, 24, 10, tzinfo=UTC)
    write_pause(path, "one", by="ann", now=first)
    later = write_pause(path, "two", by="bob", now=at(0))
    assert (later.since_at, later.reason, later.paused_by) == (first, "two", "bob")
    assert read_pause(path) == later
    path.write_text('{"reason": "tw')
    broken = read_pause(path)
    assert broken is not None
    assert "opsmeter resume" in broken.reason
    assert end_pause(path) is not None
    assert read_pause(path) is None
